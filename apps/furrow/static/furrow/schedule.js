// The form of a schedule says, while it is filled in, when that comes and what is wrong with it.
document.addEventListener("DOMContentLoaded", () => {
  "use strict";
  const shown = document.querySelector("[data-preview]");
  const form = document.querySelector("#schedule_form");
  if (!shown || !form || !form.elements.timing) return;
  const asked = ["kind", "arguments", "timing", "timezone", "starts_at_0", "starts_at_1"];
  let last = "", timer = 0;

  const listed = (texts) => {
    const list = document.createElement("ul");
    texts.forEach((text) => list.append(Object.assign(document.createElement("li"), { textContent: text })));
    return list;
  };

  const look = async () => {
    const query = new URLSearchParams();
    asked.forEach((name) => { if (form.elements[name]) query.set(name, form.elements[name].value); });
    if (String(query) === last || !query.get("timing")) return;
    last = String(query);
    const answer = await fetch(`${shown.dataset.preview}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || String(query) !== last) return;
    const told = await answer.json();
    const problems = Object.entries(told.problems).map(([name, text]) => `${name}: ${text}`);
    shown.replaceChildren(told.words, listed([...problems, ...told.next]));
    shown.classList.toggle("fw-error-box", problems.length > 0);
    shown.hidden = false;
  };

  form.querySelector("[name=timing]").parentElement.append(shown);
  form.addEventListener("input", () => { window.clearTimeout(timer); timer = window.setTimeout(look, 250); });
  look();
});
