// What pages need beyond htmx. Without it they work all the same, without live numbers.
"use strict";
(() => {
  const live = document.getElementById("live");
  const offline = document.getElementById("offline");
  const over = document.getElementById("over");
  let announced = null;

  const isLive = (element) => element instanceof Element && element.hasAttribute("data-live");

  // Says aloud what changed since it was last said, and nothing when the page is opened.
  const announce = () => {
    const said = [...document.querySelectorAll("[data-announce]")].map((e) => e.dataset.announce).join(". ");
    if (announced !== null && said !== announced && live) live.textContent = said;
    announced = said;
  };

  // Times say on pointing at them what they are here, beside UTC.
  const localTimes = (root) => {
    for (const t of root.querySelectorAll("time[datetime]")) {
      const at = new Date(t.dateTime);
      if (!t.dataset.local && !isNaN(at)) {
        t.title += "\n" + at.toLocaleString() + " here";
        t.dataset.local = "1";
      }
    }
  };

  // Nobody looks at a hidden page: its live parts rest, and catch up when it is shown.
  document.addEventListener("htmx:beforeRequest", (e) => {
    if (document.hidden && isLive(e.detail.elt)) e.preventDefault();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    for (const e of document.querySelectorAll("[data-live]")) htmx.trigger(e, "refresh");
  });

  // What somebody holds with the keyboard, or has opened, is not taken from under them.
  document.addEventListener("htmx:beforeSwap", (e) => {
    const target = e.detail.target;
    // The form stays as it is; what to do is said beside it.
    if (e.detail.xhr.status === 401) {
      e.detail.shouldSwap = false;
      if (over) over.hidden = false;
      return;
    }
    if (e.detail.xhr.status >= 400 && isLive(e.detail.elt)) {
      e.detail.shouldSwap = false;
      if (offline) offline.hidden = false;
      return;
    }
    if (isLive(e.detail.elt)) {
      if (offline) offline.hidden = true;
      const held = document.activeElement;
      const opened = target.querySelector("details[open]");
      if (opened || (held && held !== target && target.contains(held))) e.detail.shouldSwap = false;
      return;
    }
    // A form that was refused is shown with what was wrong.
    if (e.detail.xhr.status >= 400) { e.detail.shouldSwap = true; e.detail.isError = false; }
  });
  document.addEventListener("htmx:sendError", (e) => {
    if (offline && isLive(e.detail.elt)) offline.hidden = false;
  });

  const arrived = (root) => {
    localTimes(root);
    copyButtons(root);
    const summary = root.querySelector("[data-focus]");
    if (summary) summary.focus();
    announce();
  };
  document.addEventListener("htmx:afterSettle", (e) => arrived(e.detail.target));

  // Buttons that copy are of no use without scripts, and not there then.
  const copyButtons = (root) => {
    for (const b of root.querySelectorAll("[data-copy][hidden]")) b.hidden = false;
  };
  document.addEventListener("click", async (e) => {
    const button = e.target instanceof Element && e.target.closest("[data-copy]");
    if (!button) return;
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      if (!document.execCommand("copy")) return; // selected, at least
    }
    button.textContent = "Copied";
    if (live) live.textContent = "Copied";
  });

  // The menu of small screens closes with Escape.
  document.addEventListener("keydown", (e) => {
    const menu = document.querySelector(".menu[open]");
    if (e.key === "Escape" && menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  arrived(document);
})();
