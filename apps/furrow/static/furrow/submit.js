// A form that has been sent is not sent twice by an impatient hand; the browser's "back" makes its button work again.
(() => {
  "use strict";
  const buttons = () => document.querySelectorAll(".fw-form button[type=submit], .fw-form button:not([type])");

  document.addEventListener("submit", (event) => {
    if (!event.target.classList.contains("fw-form") || event.defaultPrevented) return;
    // After the browser has taken the form's values, of which a button's own may be one.
    window.setTimeout(() => buttons().forEach((button) => { button.disabled = true; }));
  });
  window.addEventListener("pageshow", () => buttons().forEach((button) => { button.disabled = false; }));
})();
