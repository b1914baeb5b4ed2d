// Follows an inbox: new messages as they come, and those that were there before page by page.

const PAGE_SIZE = 20;
// More would make the page slow, and nobody reads so many.
const ROWS_LIMIT = 200;
const RETRY_MILLISECONDS = 3000;
const SPEAK_MILLISECONDS = 3000;
const TITLE = document.title;

const CONNECTING = ["waiting", "连接中 Connecting"];
const LIVE = ["success", "实时 Live"];
const RECONNECTING = ["waiting", "重新连接中 Reconnecting"];
const CLOSED = ["refusal", "未连接 Not connected"];

const MEANINGS = {
  user_not_found: "没有这个用户ID的用户。",
  invalid_request: "请求有误，请检查用户ID。",
  overloaded: "服务繁忙，稍后自动重试。",
  unavailable: "数据库暂时不可用，稍后自动重试。",
};

const form = document.querySelector("form");
const list = document.getElementById("messages");
const template = document.getElementById("message");
const olderButton = document.getElementById("older");
const problem = document.getElementById("problem");

class Refusal extends Error {
  constructor(response, told) {
    super(told.detail ?? response.statusText);
    Object.assign(this, { status: response.status, told });
  }
}

function element(tag, className, textContent) {
  return Object.assign(document.createElement(tag), { className, textContent });
}

function show(id, shown) {
  document.getElementById(id).hidden = !shown;
}

function showConnection([className, textContent]) {
  const connection = document.getElementById("connection");
  // What is read out is what changes.
  if (connection.textContent !== textContent) Object.assign(connection, { className, textContent });
}

function showProblem(failure) {
  const { status, told } = failure;
  problem.replaceChildren(
    element("p", "outcome refusal", status ? `${status} ${told.title ?? ""}` : "未收到响应 No reply"),
  );
  const chinese = MEANINGS[told?.code];
  if (chinese) problem.append(Object.assign(element("p", "", chinese), { lang: "zh-Hans" }));
  problem.append(element("p", "", failure.message));
  if (told?.type?.startsWith?.("/errors#")) {
    const meaning = element("a", "", "该错误码的含义 What this error code means");
    meaning.href = told.type;
    problem.append(meaning);
  }
  form.elements.namedItem(told?.field ?? "")?.setAttribute("aria-invalid", "true");
}

let speaking;

function showUnread(count) {
  document.getElementById("count").textContent = count;
  show("unread", count > 0);
  document.title = count > 0 ? `(${count}) ${TITLE}` : TITLE;
  speaking ??= setTimeout(() => {
    speaking = undefined;
    document.getElementById("spoken").textContent = document.getElementById("unread").textContent;
  }, SPEAK_MILLISECONDS);
}

function showId(item, selector, id) {
  const place = item.querySelector(selector);
  place.hidden = !id;
  place.querySelector("code").textContent = id;
}

function itemOf(message, language) {
  const item = template.content.firstElementChild.cloneNode(true);
  const [title, button, text, time] = ["h3", "button", ".text", "time"].map((selector) =>
    item.querySelector(selector),
  );
  item.dataset.nid = message.NID;
  title.id = `message-${message.NID}`;
  button.setAttribute("aria-describedby", title.id);
  title.textContent = message.TITLE;
  text.textContent = message.BODY.text;
  title.lang = text.lang = language === "zh" ? "zh-Hans" : language;
  time.dateTime = message.CREATE_TIME;
  time.textContent = new Date(message.CREATE_TIME).toLocaleString(language);
  // Messages of earlier versions do not name their account, and those about an account have no order.
  showId(item, ".account", message.BODY.accountId);
  showId(item, ".order", message.BODY.orderId);
  return item;
}

// The service's order: unread before read, and then newest first. What is marked stays where it is.
function goesAfter(row, other) {
  return row.cameRead === other.cameRead ? row.nid < other.nid : row.cameRead;
}

class Inbox {
  #left = new AbortController();
  // As they are listed.
  #rows = [];
  #unread = 0;
  // The newest message of which the service has told how many are unread.
  #counted = 0;
  #cursor = null;

  constructor(userId, language) {
    Object.assign(this, { userId, language });
    list.replaceChildren();
    problem.replaceChildren();
    showUnread(0);
    showConnection(CONNECTING);
    show("before-opening", false);
    show("opened", false);
    this.#connect();
  }

  leave() {
    this.#left.abort();
    this.stream.close();
    showConnection(CLOSED);
  }

  async markAll() {
    const upTo = Math.max(0, ...this.#rows.map((row) => row.nid));
    await this.#mark({ upTo }, (row) => row.nid <= upTo);
  }

  async markOne(nid) {
    await this.#mark({ nids: nid }, (row) => row.nid === nid);
  }

  async older() {
    await this.#attempt(async () => {
      let isNew = false;
      // What was marked since comes again among the read: then the page after it is wanted.
      while (!isNew && this.#cursor !== null) {
        const page = await this.#ask({ pageSize: PAGE_SIZE, before: this.#cursor });
        for (const message of page.result) isNew = this.#add(message) || isNew;
        this.#cursor = page.before;
      }
      this.#tidy();
      // A hidden button loses the focus, and with it the keyboard's place on the page.
      if (olderButton.hidden) list.lastElementChild.focus({ preventScroll: true });
    });
  }

  #connect() {
    const query = new URLSearchParams({ userId: this.userId, language: this.language });
    this.stream = new EventSource(`/messages/stream?${query}`);
    // Only once the stream is open, so that nothing falls between the page and the stream; and each time, because
    // a stream that breaks before its first message does not know where to go on.
    this.stream.addEventListener("open", () => {
      showConnection(LIVE);
      this.#load();
    });
    this.stream.addEventListener("message", (event) => this.#arrive(JSON.parse(event.data)));
    this.stream.addEventListener("error", () => this.#lose());
  }

  async #lose() {
    showConnection(RECONNECTING);
    if (this.stream.readyState !== EventSource.CLOSED) return;
    // It was refused, by the service or a proxy before it, and does not say why. The page does.
    await this.#load();
    setTimeout(() => {
      if (!this.#left.signal.aborted) this.#connect();
    }, RETRY_MILLISECONDS);
  }

  #arrive(message) {
    // The stream tells of the user's teams as well, whose messages are no part of this list and its number.
    if (message.KIND !== "account" || !this.#add(message)) return;
    if (!message.READ && message.NID > this.#counted) showUnread(++this.#unread);
    this.#tidy();
  }

  async #load() {
    await this.#attempt(async () => {
      const page = await this.#ask({ pageSize: PAGE_SIZE });
      for (const message of page.result) this.#add(message);
      this.#count(page);
      this.#cursor = page.before;
      show("opened", true);
      this.#tidy();
    });
  }

  async #mark(which, isMarked) {
    await this.#attempt(async () => {
      await this.#post("/messages/read", which);
      this.#rows.filter(isMarked).forEach((row) => this.#showRead(row));
      this.#count(await this.#ask({ pageSize: 1 }));
    });
  }

  async #attempt(work) {
    try {
      await work();
      problem.replaceChildren();
    } catch (failure) {
      if (this.#left.signal.aborted) return;
      showProblem(failure);
      // It would be refused again.
      if (failure.status < 500) this.leave();
    }
  }

  #ask(fields) {
    return this.#post("/messages", { language: this.language, ...fields });
  }

  async #post(path, fields) {
    const body = new URLSearchParams({ userId: this.userId, ...fields });
    const response = await fetch(path, { method: "POST", body, signal: this.#left.signal });
    // A proxy's refusal is not JSON.
    if (!response.ok) throw new Refusal(response, await response.json().catch(() => ({})));
    return response.json();
  }

  // What has come by the stream meanwhile is not in the service's number.
  #count(page) {
    this.#counted = Math.max(0, ...page.result.map((message) => message.NID));
    this.#unread = page.unread + this.#rows.filter((row) => !row.isRead && row.nid > this.#counted).length;
    showUnread(this.#unread);
  }

  // Returns whether it was new here: a page and the stream, or two pages, may have the same.
  #add(message) {
    const known = this.#rows.find((row) => row.nid === message.NID);
    if (known) {
      if (message.READ) this.#showRead(known);
      return false;
    }
    const item = itemOf(message, this.language);
    const row = { nid: message.NID, cameRead: message.READ, isRead: message.READ, item };
    item.classList.toggle("unread", !row.isRead);
    const next = this.#rows.findIndex((other) => goesAfter(other, row));
    list.insertBefore(item, this.#rows[next]?.item ?? null);
    this.#rows.splice(next === -1 ? this.#rows.length : next, 0, row);
    for (const dropped of this.#rows.splice(ROWS_LIMIT)) dropped.item.remove();
    return true;
  }

  #showRead(row) {
    // Its button goes, and would take the focus with it.
    if (row.item.contains(document.activeElement)) row.item.focus({ preventScroll: true });
    row.isRead = true;
    row.item.classList.remove("unread");
  }

  #tidy() {
    const isFull = this.#rows.length === ROWS_LIMIT;
    show("empty", this.#rows.length === 0);
    show("mark-all", this.#rows.length > 0);
    show("full", isFull);
    olderButton.hidden = isFull || this.#cursor === null;
  }
}

if (!navigator.language.startsWith("zh")) form.elements.language.value = "en";

let inbox;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { userId, language } = Object.fromEntries(new FormData(form));
  for (const input of form.elements) input.removeAttribute("aria-invalid");
  inbox?.leave();
  inbox = new Inbox(userId, language);
});

document.getElementById("mark-all").addEventListener("click", () => inbox.markAll());
olderButton.addEventListener("click", () => inbox.older());
list.addEventListener("click", (event) => {
  const item = event.target.closest("button")?.closest("li");
  if (item) inbox.markOne(Number(item.dataset.nid));
});

for (const limit of document.querySelectorAll(".limit")) limit.textContent = ROWS_LIMIT;
document.getElementById("inbox").hidden = false;
