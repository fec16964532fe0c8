// A part of a page that keeps itself true: <div data-part="address" data-mark="…">. Forms outside of it are not touched; where
// the person is in it (focus, open details) stays.
(() => {
  "use strict";
  const LONGEST = 15000;

  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  function replace(part, markup) {
    const open = [...part.querySelectorAll("details[open][data-key]")].map((details) => details.dataset.key);
    const focused = document.activeElement?.dataset?.focus;
    part.innerHTML = markup;
    open.forEach((key) => {
      const details = part.querySelector(`details[data-key="${CSS.escape(key)}"]`);
      if (details) details.open = true;
    });
    if (focused) part.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
    document.dispatchEvent(new Event("furrow:times"));
  }

  document.querySelectorAll("[data-part]").forEach((part) => {
    const usual = Number(part.dataset.every || 2000);
    const sign = document.querySelector(".fw-live");
    let pause = usual;

    async function look() {
      const address = new URL(part.dataset.part, window.location.href);
      address.searchParams.set("mark", part.dataset.mark);
      const response = await fetch(address, { credentials: "same-origin", redirect: "error" });
      if (!response.ok) throw new Error(response.status);
      if (response.status === 204) return true;
      part.dataset.mark = response.headers.get("X-Mark");
      replace(part, await response.text());
      return !response.headers.get("X-Last");
    }

    async function follow() {
      let goes = true;
      try {
        if (!document.hidden) goes = await look();
        pause = usual;
        sign?.classList.remove("fw-lost");
      } catch (error) {
        pause = Math.min(pause * 2, LONGEST);
        sign?.classList.add("fw-lost");
      }
      if (goes) window.setTimeout(follow, pause);
    }

    if (sign) sign.hidden = false;
    window.setTimeout(follow, pause);
  });
})();
