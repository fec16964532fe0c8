// Keeps "3 min ago" true. The wording is the same as in apps/furrow/diagnosis/wording.py.
(() => {
  "use strict";
  const STEPS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

  function relative(seconds) {
    const distance = Math.abs(seconds);
    if (distance < 1) return "just now";
    const [size, unit] = STEPS.find(([step]) => distance >= step);
    const text = `${Math.floor(distance / size).toLocaleString("en-US")} ${unit}`;
    return seconds > 0 ? `${text} ago` : `in ${text}`;
  }

  function refresh() {
    const now = Date.now();
    document.querySelectorAll("time.fw-moment").forEach((time) => {
      const text = relative((now - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    });
  }

  // The server shows exact times in this zone from the next page on.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.split("; ").includes(`furrow_zone=${zone}`)) {
    document.cookie = `furrow_zone=${zone}; path=/; max-age=31536000; SameSite=Lax`;
  }

  document.addEventListener("furrow:times", refresh);
  window.setInterval(() => { if (!document.hidden) refresh(); }, 1000);
})();
