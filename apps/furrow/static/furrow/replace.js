// What all pages that keep themselves true share: acts ask first; a part that is drawn anew keeps where the person is in it:
// the focus, open details, what was chosen, how far something was scrolled.
(() => {
  "use strict";
  const find = (part, name, value) => part.querySelector(`[data-${name}="${CSS.escape(value)}"]`);

  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });

  window.furrowReplace = (part, markup) => {
    const open = [...part.querySelectorAll("details[open][data-key]")].map((details) => details.dataset.key);
    const chosen = [...part.querySelectorAll("select[data-focus]")].map((select) => [select.dataset.focus, select.value]);
    const scrolled = [...part.querySelectorAll("[data-scroll]")].map((box) => [box.dataset.scroll, box.scrollLeft, box.scrollTop]);
    const focused = part.contains(document.activeElement) && document.activeElement.dataset.focus;
    part.innerHTML = markup;
    open.forEach((key) => {
      const details = find(part, "key", key);
      if (details) details.open = true;
    });
    chosen.forEach(([name, value]) => {
      const select = find(part, "focus", name);
      if (select) select.value = value;
    });
    document.dispatchEvent(new Event("furrow:drawn"));
    scrolled.forEach(([name, left, top]) => find(part, "scroll", name)?.scrollTo({ left, top, behavior: "instant" }));
    if (focused) find(part, "focus", focused)?.focus({ preventScroll: true });
    document.dispatchEvent(new Event("furrow:times"));
  };
})();
