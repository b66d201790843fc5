"use strict";
// The script of the site: colours, the menu on small screens, the search. Everything else works without it.
(() => {
  const up = document.currentScript.dataset.up;

  const themes = ["auto", "light", "dark"];
  const store = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
    set: (theme) => { try { localStorage.setItem("theme", theme); } catch { /* a page from a folder may keep nothing */ } } };
  let theme = themes.includes(store.get()) ? store.get() : "auto";
  const paint = () => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  paint();

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => { button.textContent = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }[theme]; };
    name();
    button.addEventListener("click", () => {
      theme = themes[(themes.indexOf(theme) + 1) % themes.length];
      store.set(theme);
      paint();
      name();
    });

    const menu = document.getElementById("menu"), nav = document.getElementById("nav");
    menu.addEventListener("click", () => menu.setAttribute("aria-expanded", nav.classList.toggle("open")));
    nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });

    for (const heading of document.querySelectorAll("main :is(h2, h3, h4)[id]")) {
      const link = document.createElement("a");
      link.className = "anchor";
      link.href = "#" + heading.id;
      link.textContent = "#";
      link.setAttribute("aria-label", "Link to this section");
      heading.append(link);
    }
    for (const block of document.querySelectorAll("main pre")) {
      if (!navigator.clipboard) break;
      const copy = document.createElement("button");
      copy.textContent = "Copy";
      copy.addEventListener("click", async () => {
        await navigator.clipboard.writeText(block.querySelector("code").innerText);
        copy.textContent = "Copied";
        setTimeout(() => { copy.textContent = "Copy"; }, 1500);
      });
      block.append(copy);
    }
    search();
  });

  // The index is loaded when somebody begins to search.
  let loading;
  const load = () => loading ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = up + "search.js";
    script.onload = () => {
      resolve(window.searchIndex.map((s) => ({ ...s, title: s.t.toLowerCase(), page: s.p.toLowerCase(), text: s.x.toLowerCase() })));
    };
    document.head.append(script);
  });

  // score is how well a section suits the words; 0 if one of them is not there. What is about the past, or the reasons of the
  // program, comes after what is for users.
  const score = (section, words) => {
    let sum = 0;
    for (const word of words) {
      const points = (section.title === word ? 60 : 0) + (section.title.includes(word) ? 20 : 0) + (section.page.includes(word) ? 6 : 0) +
        Math.min(4, section.text.split(word).length - 1);
      if (points === 0) return 0;
      sum += points;
    }
    if (words.length > 1 && section.text.includes(words.join(" "))) sum += 10;
    return /^(project|decisions)\//.test(section.u) ? sum / 4 : sum;
  };

  // marked appends text, with the words marked.
  const marked = (to, text, words) => {
    const pattern = new RegExp("(" + words.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|") + ")", "gi");
    text.split(pattern).forEach((part, i) => {
      if (i % 2 === 0) return to.append(part);
      const mark = document.createElement("mark");
      mark.textContent = part;
      to.append(mark);
    });
  };

  const search = () => {
    const input = document.getElementById("search"), found = document.getElementById("found");
    const show = async () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      if (words.length === 0) { found.hidden = true; return; }
      const index = await load();
      const hits = index.map((s) => ({ s, points: score(s, words) })).filter((h) => h.points > 0)
        .sort((a, b) => b.points - a.points).slice(0, 20);
      found.replaceChildren(...hits.map(({ s }) => {
        const item = document.createElement("li"), link = document.createElement("a"), more = document.createElement("small");
        link.href = up + s.u;
        marked(link, s.t === s.p ? s.p : s.p + " › " + s.t, words);
        const at = Math.max(0, s.text.indexOf(words.find((w) => s.text.includes(w)) ?? "") - 60);
        marked(more, (at > 0 ? "…" : "") + s.x.slice(at, at + 170), words);
        link.append(more);
        item.append(link);
        return item;
      }));
      if (hits.length === 0) {
        const none = document.createElement("p");
        none.textContent = "Nothing has all of these words.";
        found.append(none);
      }
      found.hidden = false;
    };
    const hide = () => { found.hidden = true; };
    input.addEventListener("focus", load);
    input.addEventListener("input", show);
    input.addEventListener("keydown", (e) => {
      const links = [...found.querySelectorAll("a")], at = links.findIndex((l) => l.classList.contains("here"));
      if (e.key === "ArrowDown" || e.key === "ArrowUp") {
        e.preventDefault();
        links[at]?.classList.remove("here");
        const next = links[Math.min(links.length - 1, Math.max(0, at + (e.key === "ArrowDown" ? 1 : -1)))];
        next?.classList.add("here");
        next?.scrollIntoView({ block: "nearest" });
      } else if (e.key === "Enter") {
        (links[at] ?? links[0])?.click();
        hide();
      } else if (e.key === "Escape") {
        hide();
        input.blur();
      }
    });
    found.addEventListener("click", hide);
    document.addEventListener("click", (e) => { if (!e.target.closest(".search")) hide(); });
    document.addEventListener("keydown", (e) => {
      if (e.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
        e.preventDefault();
        input.focus();
      }
    });
  };
})();
