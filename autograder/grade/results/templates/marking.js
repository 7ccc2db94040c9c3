"use strict";
/* Marks entered in the page of a written question: checked, kept in this browser, saved as the CSV that `course grade --merge` reads. */
(() => {
  const form = document.getElementById("marks");
  const status = document.getElementById("status");
  const possible = Number(form.dataset.possible);
  const cards = Array.from(form.querySelectorAll(".entry"), (entry) => ({
    codes: entry.dataset.codes,
    empty: "empty" in entry.dataset,
    points: entry.querySelector("input"),
    comment: entry.querySelector("textarea"),
    wrong: entry.querySelector(".wrong"),
  }));
  const given = cards.map((card) => [card.points.value, card.comment.value]);
  const number = (card) => card.points.value.trim().replace(",", ".");

  function problem(card) {
    const text = number(card);
    if (!text) return "";
    if (!/^(\d+\.?\d*|\.\d+)$/.test(text)) return `“${text}” is no number from 0 to ${possible}.`;
    return Number(text) > possible ? `${text} is more than the ${possible} possible points.` : "";
  }

  function check(card) {
    const text = problem(card);
    card.wrong.textContent = text;
    card.points.setAttribute("aria-invalid", text ? "true" : "false");
    return !text;
  }

  function progress(before) {
    const asked = cards.filter((card) => !card.empty);
    const marked = asked.filter((card) => number(card) && !problem(card)).length;
    status.textContent = `${before || ""}${marked} of ${asked.length} answers marked.`;
  }

  function keep() {
    const drafts = {};
    cards.forEach((card, n) => {
      const now = [card.points.value, card.comment.value];
      if (String(now) !== String(given[n])) drafts[card.codes] = { given: given[n], now };
    });
    try {
      localStorage.setItem(form.dataset.drafts, JSON.stringify(drafts));
    } catch (error) {
      status.textContent = "This browser keeps no drafts: save before you leave the page.";
    }
  }

  function restore() {
    let drafts = {};
    try {
      drafts = JSON.parse(localStorage.getItem(form.dataset.drafts) || "{}");
    } catch (error) {
      return 0; // a browser that keeps nothing, or something else's data
    }
    let count = 0;
    cards.forEach((card, n) => {
      const draft = drafts[card.codes];
      if (!draft || String(draft.given) !== String(given[n])) return; // marked otherwise since
      [card.points.value, card.comment.value] = draft.now;
      count += 1;
    });
    return count;
  }

  function cell(text) {
    const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // no spreadsheet takes it for a formula
    return `"${safe.replace(/"/g, '""')}"`;
  }

  function save() {
    const bad = cards.filter((card) => !check(card));
    if (bad.length) {
      status.textContent = `Not saved: ${bad.length} of the marks cannot be right.`;
      bad[0].points.focus();
      return;
    }
    const rows = cards.flatMap((card) => card.codes.split(" ").map((code) => (
      [form.dataset.question, code, number(card), String(possible), card.comment.value]
    )));
    const lines = [["question", "answer", "points", "possible", "comment"], ...rows];
    const text = lines.map((row) => row.map(cell).join(",") + "\r\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    link.download = `${form.dataset.question}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    progress(`Saved as ${link.download} where your browser puts downloads. `);
  }

  cards.forEach((card, n) => {
    card.points.addEventListener("input", () => { check(card); keep(); });
    card.points.addEventListener("change", () => progress());
    card.comment.addEventListener("input", keep);
    card.points.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      if (cards[n + 1]) cards[n + 1].points.select();
    });
  });
  document.getElementById("save").addEventListener("click", save);
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") { event.preventDefault(); save(); }
  });
  const restored = restore();
  cards.forEach(check);
  progress(restored ? `${restored} not saved yet, as you left them. ` : "");
  document.querySelectorAll("[hidden].needs-script").forEach((element) => { element.hidden = false; });
})();
