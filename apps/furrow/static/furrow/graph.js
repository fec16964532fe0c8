// The graph of a workflow: larger, smaller, fitted to its place; dragged by the mouse. What was chosen stays when the graph is
// drawn anew.
(() => {
  "use strict";
  const SMALLEST = 0.1;
  const LARGEST = 3;
  const SMALL = 0.75; // what can be read well: a page begins with no less
  let zoom = 1;

  function draw() {
    document.querySelectorAll("[data-zoom]").forEach((buttons) => { buttons.hidden = false; });
    document.querySelectorAll("svg[data-graph]").forEach((graph) => {
      const { width, height } = graph.viewBox.baseVal;
      graph.setAttribute("width", width * zoom);
      graph.setAttribute("height", height * zoom);
    });
  }

  function fitting() {
    const graph = document.querySelector("svg[data-graph]");
    const place = graph.parentElement;
    const { width, height } = graph.viewBox.baseVal;
    const tallest = parseFloat(getComputedStyle(place).maxHeight) || height;
    return Math.min(1, place.clientWidth / width, tallest / height);
  }

  document.addEventListener("click", (event) => {
    const by = event.target.closest("[data-zoom] [data-by]")?.dataset.by;
    if (!by) return;
    if (by === "fit") zoom = fitting();
    else zoom = by === "1" ? 1 : zoom * Number(by);
    zoom = Math.max(SMALLEST, Math.min(LARGEST, zoom));
    draw();
  });

  // A drag scrolls; a link that was dragged is not followed.
  let drag = null;
  document.addEventListener("pointerdown", (event) => {
    const place = event.target.closest(".fw-graph");
    if (!place || event.pointerType !== "mouse" || event.button !== 0) return;
    drag = { place, x: event.clientX + place.scrollLeft, y: event.clientY + place.scrollTop, moved: false };
  });
  document.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const left = drag.x - event.clientX;
    const top = drag.y - event.clientY;
    if (!drag.moved && Math.hypot(left - drag.place.scrollLeft, top - drag.place.scrollTop) < 5) return;
    drag.moved = true;
    drag.place.classList.add("fw-grabbed");
    drag.place.scrollTo(left, top);
  });
  document.addEventListener("pointerup", () => {
    drag?.place.classList.remove("fw-grabbed");
    window.setTimeout(() => { drag = null; });
  });
  document.addEventListener("click", (event) => { if (drag?.moved) event.preventDefault(); }, true);
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.(".fw-graph")) event.preventDefault(); });

  document.addEventListener("furrow:drawn", draw);
  const here = document.querySelector("[data-here]");
  if (!here) return;
  const place = here.closest(".fw-graph");
  zoom = Math.max(SMALL, Math.min(1, place.clientWidth / place.querySelector("svg").viewBox.baseVal.width));
  draw();
  const [box, frame] = [here.getBoundingClientRect(), place.getBoundingClientRect()];
  place.scrollBy({ left: (box.left + box.right - frame.left - frame.right) / 2, top: (box.top + box.bottom - frame.top - frame.bottom) / 2, behavior: "instant" });
})();
