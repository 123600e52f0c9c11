"use strict";

/* The page keeps one thing, the token, in sessionStorage: it is gone with the tab. Texts of the
   server reach the page as text nodes only, so nothing of them is ever read as HTML. */

(() => {
  const HOME = new URL(document.body.dataset.home, location.href);
  const API = new URL("../../", HOME);
  const TOKEN = "tinybase-dashboard.token";
  const EMAIL = "tinybase-dashboard.email";
  const WITHOUT_ANSWER_MS = 15_000;
  const NAMES = { tinybase_register_blueprints: "its route", tinybase_register_health_checks: "a health check" };

  const byId = (id) => document.getElementById(id);
  const numbers = new Intl.NumberFormat();
  const times = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

  let seconds = 10;
  let timer = null;
  let turn = 0; // counts up whenever answers under way are no longer wanted

  /** What the server said no with, or that it said nothing: then the status is 0. */
  class Refusal extends Error {
    constructor(status, message) {
      super(message);
      this.status = status;
    }
  }

  async function ask(url, { method = "GET", body, token = sessionStorage.getItem(TOKEN) } = {}) {
    const headers = {};
    if (token) headers.Authorization = `Bearer ${token}`;
    if (body) headers["Content-Type"] = "application/json";
    let answer;
    let content;
    try {
      answer = await fetch(url, {
        method,
        headers,
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(WITHOUT_ANSWER_MS),
      });
      content = await answer.text();
    } catch {
      throw new Refusal(0, "The server does not answer.");
    }
    let json = null;
    try {
      json = content ? JSON.parse(content) : null;
    } catch {
      // A proxy in between may answer with a page of its own; the status is all there is.
    }
    if (!answer.ok) throw new Refusal(answer.status, json?.detail ?? `The server answers ${answer.status}.`);
    return json;
  }

  // Signing in and out

  async function signIn(event) {
    event.preventDefault();
    const form = event.target;
    const button = form.querySelector("button");
    button.disabled = true;
    tell(null);
    try {
      const body = { email: form.email.value, password: form.password.value };
      const session = await ask(new URL("auth/login", API), { method: "POST", body, token: null });
      if (!session.is_admin) {
        end(session.access_token);
        throw new Refusal(403, `${session.email} is not an admin, and the dashboard is for admins.`);
      }
      sessionStorage.setItem(TOKEN, session.access_token);
      sessionStorage.setItem(EMAIL, session.email);
      showDashboard();
      byId("title").focus();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      tell(error.status === 401 ? "E-mail or password is wrong." : error.message);
      form.password.select();
    } finally {
      button.disabled = false;
    }
  }

  function signOut() {
    end(sessionStorage.getItem(TOKEN));
    showSignIn(null);
  }

  /** End a session on the server, too. If that is not there, the token lives until it expires. */
  function end(token) {
    ask(new URL("auth/logout?scope=session", API), { method: "POST", token }).catch(() => {});
  }

  // What is on the screen

  function showSignIn(reason) {
    turn += 1;
    clearTimeout(timer);
    sessionStorage.removeItem(TOKEN);
    sessionStorage.removeItem(EMAIL);
    for (const list of document.querySelectorAll("tbody, .failures")) list.replaceChildren();
    for (const figure of document.querySelectorAll(".figures dd")) figure.textContent = "–";
    byId("sign-in-form").reset();
    byId("dashboard").hidden = byId("account").hidden = true;
    byId("sign-in").hidden = false;
    tell(reason);
    byId("email").focus();
  }

  function showDashboard() {
    turn += 1;
    byId("sign-in").hidden = true;
    byId("dashboard").hidden = byId("account").hidden = false;
    byId("sign-in-form").reset(); // the password has done its work
    byId("who").textContent = sessionStorage.getItem(EMAIL);
    refresh();
  }

  function tell(message) {
    const alert = byId("alert");
    alert.hidden = !message;
    // The same again is not read out again.
    if (alert.textContent !== (message ?? "")) alert.textContent = message ?? "";
  }

  // Asking for the numbers, now and again

  async function refresh() {
    const mine = (turn += 1);
    clearTimeout(timer);
    try {
      const found = await load();
      if (mine !== turn) return;
      show(found);
      tell(null);
    } catch (error) {
      if (mine !== turn) return;
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 401) return showSignIn("Your session has ended. Sign in again.");
      if (error.status === 403) return showSignIn("You are not an admin any more.");
      byId("dashboard").classList.add("stale");
      const again = byId("automatic").checked ? `Trying again every ${seconds} s.` : "Try again with Refresh now.";
      tell(`${error.message} The numbers are old. ${again}`);
    }
    if (byId("automatic").checked) timer = setTimeout(refreshIfSeen, seconds * 1000);
  }

  /** Nobody looks at a hidden tab; it asks again when it is seen again. */
  function refreshIfSeen() {
    timer = null;
    if (!document.hidden) refresh();
  }

  function watchVisibility() {
    const isDue = timer === null && byId("automatic").checked && !byId("dashboard").hidden;
    if (!document.hidden && isDue) refresh();
  }

  async function load() {
    const [overview, listed] = await Promise.all([
      ask(new URL("overview", HOME)),
      ask(new URL("admin/extensions?limit=1000", API)),
    ]);
    const running = listed.extensions.filter((extension) => extension.status === "enabled");
    const metrics = await Promise.all(running.map(loadMetrics));
    const handlers = metrics.flatMap(({ extension, hooks }) => hooks.map((hook) => ({ extension, ...hook })));
    return { ...overview, extensions: listed.extensions, running: running.length, handlers };
  }

  async function loadMetrics({ name }) {
    try {
      return await ask(new URL(`admin/extensions/${encodeURIComponent(name)}/metrics`, API));
    } catch (error) {
      // It was uninstalled a moment ago.
      if (error.status === 404) return { extension: name, hooks: [] };
      throw error;
    }
  }

  function show(found) {
    seconds = found.refresh_seconds;
    byId("dashboard").classList.remove("stale");
    byId("seconds").textContent = seconds;
    byId("updated").textContent = new Date().toLocaleTimeString();

    const records = found.collections.reduce((sum, { records }) => sum + records, 0);
    byId("figure-records").textContent = numbers.format(records);
    byId("figure-collections").textContent = numbers.format(found.collections.length);
    byId("figure-extensions").textContent = `${found.running} of ${found.extensions.length}`;
    byId("figure-failures").textContent = numbers.format(found.failures.length) + (found.has_more_failures ? "+" : "");

    fill("failures", alike(found.failures).map(failureItem));
    fill("collections", found.collections.map(collectionRow));
    fill("extensions", found.extensions.map(extensionRow));
    fill("handlers", found.handlers.sort(byTrouble).map(handlerRow));
  }

  function byTrouble(one, other) {
    return other.errors + other.timeouts - (one.errors + one.timeouts) || other.calls - one.calls;
  }

  function fill(id, items) {
    const list = byId(id);
    (list.tBodies?.[0] ?? list).replaceChildren(...items);
    list.hidden = !items.length;
    list.parentElement.querySelector(".empty").hidden = items.length > 0;
  }

  /** Gather failures that differ only in when they were, each with the newest of them. */
  function alike(failures) {
    const found = new Map();
    for (const failure of failures) {
      const { extension, handler, method, path, error_type, message } = failure;
      const key = JSON.stringify([extension, handler, method, path, error_type, message]);
      if (found.has(key)) found.get(key).times += 1;
      else found.set(key, { ...failure, times: 1 });
    }
    return [...found.values()];
  }

  function failureItem(failure) {
    const request = [failure.method, failure.path].filter(Boolean).join(" ");
    const where = [failure.extension, failure.handler, request].filter(Boolean).join(" · ");
    const item = element("li");
    const what = element("span", { className: "what" });
    what.append(element("strong", { className: "bad", text: failure.error_type }), ` ${failure.message ?? ""}`);
    if (failure.times > 1) what.append(element("span", { className: "times", text: `${numbers.format(failure.times)} times` }));
    const when = element("time", { text: times.format(new Date(failure.at)) });
    when.dateTime = failure.at;
    const place = element("span", { className: "faint" });
    place.append(when, where ? ` · ${where}` : "");
    if (failure.request_id) place.append(` · request ${failure.request_id}`);
    item.append(what, place);
    return item;
  }

  function collectionRow({ name, label, records, newest }) {
    const head = header(name, label === name ? "" : label);
    const when = newest ? times.format(new Date(newest)) : "–";
    return row(head, number("Records", numbers.format(records)), cell("Newest record", when));
  }

  function extensionRow({ name, version, status, status_reason: reason }) {
    const className = { enabled: "good", disabled: "" }[status] ?? "bad";
    const state = cell("Status", "");
    const words = element("span");
    words.append(element("span", { className, text: status.replace("_", " ") }));
    if (reason) words.append(element("span", { className: "faint", text: reason }));
    state.append(words);
    return row(header(name), cell("Version", version), state);
  }

  function handlerRow(handler) {
    const { extension, hook, handler: name, calls, errors, timeouts, mean_ms, max_ms } = handler;
    return row(
      header(name, extension),
      cell("Called for", NAMES[hook] ?? hook.replace(/^tinybase_/, "")),
      number("Calls", numbers.format(calls)),
      number("Errors", numbers.format(errors), errors ? "bad" : "zero"),
      number("Timeouts", numbers.format(timeouts), timeouts ? "bad" : "zero"),
      number("Mean", calls ? duration(mean_ms) : "–"),
      number("Longest", calls ? duration(max_ms) : "–"),
    );
  }

  function duration(ms) {
    const digits = ms < 10 ? 2 : ms < 100 ? 1 : 0;
    return `${ms.toLocaleString(undefined, { maximumFractionDigits: digits })} ms`;
  }

  function row(...cells) {
    const made = element("tr");
    made.append(...cells);
    return made;
  }

  function header(text, more) {
    const made = element("th", { text });
    made.scope = "row";
    if (more) made.append(element("span", { className: "faint", text: more }));
    return made;
  }

  function cell(label, text, className = "") {
    const made = element("td", { text, className });
    made.dataset.label = label;
    return made;
  }

  function number(label, text, className = "") {
    return cell(label, text, `number ${className}`);
  }

  function element(tag, { text = "", className = "" } = {}) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // Begin

  byId("sign-in-form").addEventListener("submit", signIn);
  byId("sign-out").addEventListener("click", signOut);
  byId("refresh").addEventListener("click", refresh);
  byId("automatic").addEventListener("change", (event) => (event.target.checked ? refresh() : clearTimeout(timer)));
  document.addEventListener("visibilitychange", watchVisibility);

  ask(new URL("auth/instance-info", API), { token: null })
    .then(({ instance_name: name }) => {
      byId("instance").textContent = name;
      document.title = `Dashboard – ${name}`;
    })
    .catch(() => {}); // the page says so soon enough

  if (sessionStorage.getItem(TOKEN)) showDashboard();
  else showSignIn(null);
})();
