"use strict";
(() => {
  // The page is whole without this program: it only searches, opens and closes.
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const find = document.querySelector(".find"), input = find.querySelector("input"), hits = find.querySelector("output");
  find.hidden = false;
  document.querySelector(".keys").hidden = false;
  const rows = all(".issues tr, .items tr, .rows > li, .same li, .proof tr");
  const texts = new WeakMap(), lists = new Map(), before = new Map();
  const text = (element) => {
    if (!texts.has(element)) texts.set(element, element.textContent.toLowerCase());
    return texts.get(element);
  };
  const search = () => {
    const wanted = input.value.trim().toLowerCase();
    const groups = all("details.group, details.more, details.entry");
    if (!wanted) {
      all(".miss").forEach((element) => element.classList.remove("miss"));
      lists.forEach((whole, list) => { list.textContent = whole; });
      before.forEach((open, details) => { details.open = open; });
      lists.clear();
      before.clear();
      hits.value = "";
      return;
    }
    if (!before.size) groups.forEach((details) => before.set(details, details.open));
    let found = 0;
    rows.forEach((row) => { found += !row.classList.toggle("miss", !text(row).includes(wanted)); });
    all("pre.paths").forEach((list) => {
      if (!lists.has(list)) lists.set(list, list.textContent);
      const kept = lists.get(list).split("\n").filter((line) => line.toLowerCase().includes(wanted));
      found += kept.length;
      list.textContent = kept.join("\n");
      list.closest(".more").classList.toggle("miss", !kept.length);
    });
    all(".entry").forEach((entry) => entry.classList.toggle("miss", !text(entry).includes(wanted)));
    all("details.group").forEach((group) => {
      const inside = all("tr, .rows > li, .more, .entry", group).some((one) => !one.classList.contains("miss") && !one.closest(".more.miss, tr.miss"));
      const named = text(group.querySelector("summary")).includes(wanted);
      group.classList.toggle("miss", !inside && !named);
      group.open = inside;
    });
    hits.value = found;
    all(".more, .entry").forEach((details) => { details.open = !details.classList.contains("miss") && !details.closest("td"); });
  };
  let timer;
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
  const every = (open) => all("main details").forEach((details) => { details.open = open; });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === input) {
      if (event.key === "Enter") {
        clearTimeout(timer);
        search();
        const first = document.querySelector("#issues details.group:not(.miss), section:not(.verdict) details.group:not(.miss), .same li:not(.miss)");
        if (first) first.scrollIntoView();
      }
      if (event.key === "Escape") { input.value = ""; search(); input.blur(); }
      return;
    }
    if (event.key === "/") { event.preventDefault(); input.focus(); }
    if (event.key === "o") every(true);
    if (event.key === "c") every(false);
  });
  // A link into a fold opens it.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
  addEventListener("beforeprint", () => all("main details").forEach((details) => { if (!details.querySelector("pre.paths")) details.open = true; }));
})();
