// A job's progress and output, where this script stands: <script src="…/output.js" data-url="…" async></script>, the address
// from furrow.output_url(job), or {% job_output job %} in a template. Chunks that are texts are shown one after the other, all
// others as JSON, a line each. Style it by its classes.
(() => {
  "use strict";
  const me = document.currentScript;
  const make = (tag, name) => {
    const made = document.createElement(tag);
    made.className = name;
    return made;
  };
  const box = make("div", "furrow-output");
  const bar = make("progress", "furrow-progress");
  const note = make("span", "furrow-note");
  const text = make("pre", "furrow-text");
  const state = make("p", "furrow-state");
  state.setAttribute("role", "status");
  Object.assign(text.style, { whiteSpace: "pre-wrap", overflowWrap: "anywhere", maxHeight: "30rem", overflow: "auto" });
  bar.hidden = true;
  box.append(bar, note, text, state);
  me.after(box);

  let last = [0, 0];
  const source = new EventSource(me.dataset.url);
  const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data), event.lastEventId));
  const show = () => me.closest("[data-quiet]")?.removeAttribute("hidden"); // what is hidden until there is something to show
  const add = (value) => {
    show();
    const follows = text.scrollTop + text.clientHeight >= text.scrollHeight - 4;
    text.append(typeof value === "string" ? value : `${JSON.stringify(value)}\n`);
    if (follows) text.scrollTop = text.scrollHeight;
  };
  const chunk = (value, id) => {
    const [attempt, number] = id.split(".").map(Number);
    if (attempt < last[0] || (attempt === last[0] && number <= last[1])) return; // at least once: this one came before
    last = [attempt, number];
    add(value);
  };
  on("chunk", chunk);
  on("cut", (value, id) => chunk(`\n${value}\n`, id));
  on("attempt", ({ attempt }) => {
    if (attempt > 1 && attempt > last[0]) {
      text.replaceChildren();
      state.textContent = `Attempt ${attempt}`;
    }
  });
  on("progress", (told) => {
    bar.hidden = false;
    bar.value = told.fraction;
    note.textContent = told.note;
  });
  on("end", (told) => {
    source.close();
    bar.hidden = told.state === "succeeded" || bar.hidden;
    state.textContent = told.state;
    box.dataset.state = told.state;
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) state.textContent = "The output cannot be read (any more).";
  });
})();
