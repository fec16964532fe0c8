// A part of a page that keeps itself true: <div data-part="address" data-mark="…">. Forms outside of it are not touched;
// replace.js draws it.
(() => {
  "use strict";
  const LONGEST = 15000;

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
      window.furrowReplace(part, await response.text());
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
