// The job's page keeps itself true while the job is not over; the list of kinds can be narrowed.
(() => {
  "use strict";
  const INTERVAL = 700;
  const LONGEST = 15000;

  const filter = document.getElementById("kind-filter");
  if (filter) {
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/);
      document.querySelectorAll(".fw-kinds").forEach((group) => {
        const rows = [...group.querySelectorAll("li")];
        rows.forEach((row) => { row.hidden = !words.every((word) => row.dataset.text.includes(word)); });
        group.hidden = rows.every((row) => row.hidden);
      });
      document.getElementById("kind-none").hidden = [...document.querySelectorAll(".fw-kinds")].some((group) => !group.hidden);
    });
  }

  document.querySelectorAll("[data-submits]").forEach((field) => field.addEventListener("change", () => field.form.submit()));

  const page = document.querySelector(".fw-page[data-live]");
  if (!page || !page.dataset.live) return;
  const body = document.getElementById("job-body");
  const lines = document.getElementById("job-lines");
  const sign = page.querySelector(".fw-live");
  const follows = document.getElementById("job-follow");
  const seen = { version: page.dataset.version, attempt: page.dataset.attempt, after: page.dataset.last, level: page.dataset.level, find: page.dataset.find };
  let pause = INTERVAL;
  sign.hidden = false;

  function addLines(news) {
    if (String(news.attempt) !== seen.attempt) {
      lines.innerHTML = "";
      document.getElementById("job-log-attempt").textContent = `attempt ${news.attempt}`;
    }
    lines.insertAdjacentHTML("beforeend", news.lines.trim());
    while (lines.children.length > 2000) lines.firstElementChild.remove();
    if (!follows || follows.checked) lines.scrollTop = lines.scrollHeight;
  }

  async function look() {
    if (document.hidden) return true;
    const response = await fetch(`${page.dataset.live}?${new URLSearchParams(seen)}`, { credentials: "same-origin", redirect: "error" });
    if (!response.ok) throw new Error(response.status);
    const news = await response.json();
    if (news.body !== null) window.furrowReplace(body, news.body);
    addLines(news);
    // While it runs a log line is a second away at most.
    const quick = news.running || news.body !== null || news.lines.trim();
    pause = quick ? INTERVAL : Math.min(pause * 1.2, 5000);
    Object.assign(seen, { version: news.version, attempt: String(news.attempt), after: String(news.last) });
    // When the job ended, its last lines have come with the news; more than one answer holds are asked for again.
    return !news.final || news.lines.trim() !== "";
  }

  async function follow() {
    let goes = true;
    try {
      goes = await look();
      sign.classList.remove("fw-lost");
    } catch (error) {
      sign.classList.add("fw-lost");
      pause = Math.min(pause * 2, LONGEST);
    }
    if (goes) window.setTimeout(follow, pause);
    else sign.hidden = true;
  }

  const atEnd = () => lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 20;
  if (follows) {
    lines.addEventListener("scroll", () => { follows.checked = atEnd(); });
    follows.addEventListener("change", () => { if (follows.checked) lines.scrollTop = lines.scrollHeight; });
  }
  lines.scrollTop = lines.scrollHeight;
  window.setTimeout(follow, INTERVAL);
})();
