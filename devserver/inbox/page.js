// Asks every two seconds whether something arrived, and then takes the new page's parts
// over, leaving open what the reader opened.
(() => {
  const live = document.getElementById("live");
  let seen = null;
  const state = async () => {
    const answer = await fetch("/inbox.json?limit=0", { cache: "no-store" });
    const { received, modes } = await answer.json();
    return JSON.stringify([received, modes]);
  };
  const refresh = async () => {
    const answer = await fetch(location.href, { cache: "no-store" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const list = document.getElementById("deliveries");
    const known = new Map([...list.querySelectorAll(".delivery")].map((d) => [d.id, d]));
    const next = fresh.getElementById("deliveries");
    for (const d of next.querySelectorAll(".delivery")) {
      const old = known.get(d.id);
      if (old) {
        d.replaceWith(document.adoptNode(old));
        old.classList.remove("new");
      } else {
        d.open = known.size === 0 && d === next.querySelector(".delivery");
        d.classList.add("new");
      }
    }
    list.replaceWith(document.adoptNode(next));
    const names = document.getElementById("names"), chosen = names.value;
    names.replaceChildren(...fresh.getElementById("names").children);
    names.value = chosen;
    document.getElementById("controls").replaceWith(document.adoptNode(fresh.getElementById("controls")));
  };
  const tick = async () => {
    if (!document.hidden) {
      try {
        const now = await state();
        if (seen !== null && now !== seen) await refresh();
        seen = now;
        live.textContent = "live";
      } catch {
        live.textContent = "not reachable; trying again";
      }
    }
    setTimeout(tick, 2000);
  };
  tick();
})();
