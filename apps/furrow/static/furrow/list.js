// The list of jobs keeps itself true: rows change where they stand, so that selection, scroll and focus stay. While something
// is selected no row comes or goes. The page is asked for again as it is, and only while somebody looks at it.
(() => {
  "use strict";
  const INTERVAL = 3000;
  const LONGEST = 30000;
  const sign = document.getElementById("fw-live");
  let pause = INTERVAL;

  const bodies = (root) => [...root.querySelectorAll("#result_list tbody")];
  const box = (row) => row.querySelector("input.action-select");
  const key = (row) => (box(row) || row.querySelector("a.fw-job") || {}).value || (row.querySelector("a.fw-job") || {}).href || "";

  // Everything but the box, which keeps its element: Django's script has counted it.
  function fill(row, fresh) {
    const cells = [...row.querySelectorAll("td, th")];
    const news = [...fresh.querySelectorAll("td, th")];
    if (cells.length !== news.length) return;
    cells.forEach((cell, position) => {
      if (cell.querySelector("input.action-select") || plain(cell) === plain(news[position])) return;
      const focused = cell.contains(document.activeElement) && document.activeElement.getAttribute("href");
      cell.innerHTML = news[position].innerHTML;
      if (focused) [...cell.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
    });
    const mine = box(row);
    if (mine && mine.value !== box(fresh).value) mine.value = box(fresh).value;
  }

  // Without what the other script keeps true.
  function plain(cell) {
    const copy = cell.cloneNode(true);
    copy.querySelectorAll("time.fw-moment").forEach((time) => { time.textContent = ""; time.title = ""; });
    return copy.innerHTML;
  }

  function show(fresh) {
    const here = bodies(document);
    const there = bodies(fresh);
    const selected = here.some((row) => box(row)?.checked);
    if (selected) {
      const found = new Map(there.map((row) => [key(row), row]));
      here.forEach((row) => { if (found.has(key(row))) fill(row, found.get(key(row))); });
    } else if (!here.length || here.length > there.length) {
      if (here.length || there.length) window.location.reload();
      return;
    } else {
      here.forEach((row, position) => fill(row, there[position]));
      if (there.length > here.length) grow(here, there);
      const pages = fresh.getElementById("fw-pagination");
      if (pages) document.getElementById("fw-pagination")?.replaceChildren(...pages.childNodes);
    }
    document.dispatchEvent(new Event("furrow:times"));
  }

  function grow(here, there) {
    const table = document.getElementById("result_list");
    there.slice(here.length).forEach((row) => table.append(document.importNode(row, true)));
    if (window.Actions && document.getElementById("action-toggle")) window.Actions(table.querySelectorAll("tr input.action-select"));
  }

  async function look() {
    if (document.hidden) return;
    const answer = await fetch(window.location.href, { credentials: "same-origin", redirect: "error", headers: { "X-Furrow-Live": "1" } });
    if (!answer.ok) throw new Error(answer.status);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  }

  async function follow() {
    const begun = performance.now();
    try {
      await look();
      pause = Math.min(LONGEST, Math.max(INTERVAL, 10 * (performance.now() - begun)));  // a slow search is not asked for often
      sign.classList.remove("fw-lost");
    } catch (error) {
      pause = Math.min(pause * 2, LONGEST);
      sign.classList.add("fw-lost");
    }
    window.setTimeout(follow, pause);
  }

  if (!sign) return;
  sign.hidden = false;
  window.setTimeout(follow, INTERVAL);
})();
