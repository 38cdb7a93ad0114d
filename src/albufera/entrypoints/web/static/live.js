// Regions that renew themselves, digests that copy, menus that close. Every page works without this.
"use strict";

const INTERVAL = 2000;
const announcer = document.getElementById("announcer");

function announce(text) {
  if (announcer && text && announcer.textContent !== text) announcer.textContent = text;
}

function atEnd(box) {
  return box.scrollHeight - box.scrollTop - box.clientHeight < 24;
}

function places(region) {
  return [...region.querySelectorAll("[data-tail]")].map((box) => ({
    id: box.id, end: atEnd(box), top: box.scrollTop, left: box.scrollLeft,
  }));
}

function restore(region, kept) {
  for (const place of kept) {
    const box = document.getElementById(place.id);
    if (!box || !region.contains(box)) continue;
    box.scrollTop = place.end ? box.scrollHeight : place.top;
    box.scrollLeft = place.left;
  }
}

function replace(region, fresh) {
  const kept = places(region);
  const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...region.querySelectorAll("details")].map((part) => part.open);
  const next = document.importNode(fresh, true);
  region.replaceWith(next);
  next.querySelectorAll("details").forEach((part, at) => { if (at < open.length) part.open = open[at]; });
  restore(next, kept);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  if (next.dataset.announce !== region.dataset.announce) announce(next.dataset.announce);
  reveal(next);
  return next;
}

async function renew(region) {
  const answer = await fetch(region.dataset.poll || location.href, {
    headers: { Accept: "text/html" }, credentials: "same-origin", cache: "no-store",
  });
  if (!answer.ok) throw new Error(String(answer.status));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(region.id);
  return fresh ? replace(region, fresh) : null;
}

// One timer per region; waits longer after failures, and while nobody looks at the page.
function watch(region, wait = INTERVAL) {
  setTimeout(async () => {
    if (!region.isConnected) return;
    if (document.hidden) return watch(region, INTERVAL);
    try {
      const next = await renew(region);
      if (next && "live" in next.dataset) watch(next);
    } catch {
      watch(region, Math.min(wait * 2, 30000));
    }
  }, wait);
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy);
  const label = button.firstChild;
  const word = label.textContent;
  label.textContent = "copied";
  announce("Copied");
  setTimeout(() => { label.textContent = word; }, 1500);
}

function reveal(root) {
  if (!navigator.clipboard) return;
  root.querySelectorAll("[data-copy]").forEach((button) => { button.hidden = false; });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button).catch(() => {});
  document.querySelectorAll("details[data-dismiss][open]").forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  document.querySelectorAll("details[data-dismiss][open]").forEach((menu) => {
    menu.open = false;
    menu.querySelector("summary").focus();
  });
});

// On a phone the groups of filters begin closed, so that the list is near; those in use stay open.
if (matchMedia("(max-width: 60rem)").matches) {
  document.querySelectorAll("details.facet").forEach((group) => {
    group.open = group.querySelector(":checked") !== null;
  });
}

reveal(document);
document.querySelectorAll("[data-tail]").forEach((box) => { box.scrollTop = box.scrollHeight; });
document.querySelectorAll("[data-live]").forEach((region) => watch(region));
document.querySelector("[data-focus]")?.focus();
document.querySelector(".sections [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
