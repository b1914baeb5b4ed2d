// Sends the form without leaving its page, and shows the request and the reply beside it.

const SHOWN_HEADERS = ["X-Request-ID", "Idempotent-Replayed", "Retry-After"];

const form = document.querySelector("form");
const sendButton = form.querySelector("[type=submit]");
const reply = document.getElementById("reply");
const nothingSent = [...reply.children];

function element(tag, className, textContent) {
  return Object.assign(document.createElement(tag), { className, textContent });
}

function shellQuoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function curlCommand(fields) {
  const options = Array.from(fields, ([name, value]) => {
    // Only what needs no encoding may go as it is.
    const option = encodeURIComponent(value) === value ? "-d" : "--data-urlencode";
    return `${option} ${shellQuoted(`${name}=${value}`)}`;
  });
  return [`curl ${shellQuoted(form.action)}`, ...options].join(" \\\n  ");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function showRequest(fields) {
  document.getElementById("sent").textContent = fields;
  document.getElementById("command").textContent = curlCommand(fields);
  document.getElementById("request").hidden = false;
  reply.replaceChildren(element("p", "hint", "等待响应… Waiting for the reply…"));
}

function showReply(response, text) {
  const json = parsed(text);
  const exists = ["user_exists", "account_exists"].includes(json?.code);
  const isOpened = exists && response.headers.get("Idempotent-Replayed") === "true";
  const outcome = response.ok || isOpened ? "outcome success" : "outcome refusal";
  const headers = SHOWN_HEADERS.filter((name) => response.headers.has(name));
  reply.replaceChildren(
    element("p", outcome, `${response.status} ${response.statusText}`),
    ...headers.map((name) => element("p", "line", `${name}: ${response.headers.get(name)}`)),
    element("pre", "", json === undefined ? text : JSON.stringify(json, null, 2)),
  );
  if (isOpened) {
    const done = "此前已用相同信息开户，无需再做什么。This same opening succeeded before: nothing is left to do.";
    reply.append(element("p", "hint", done));
  }
  if (json?.result?.length === 0) reply.append(element("p", "hint", form.dataset.nothing));
  if (json?.type?.startsWith?.("/errors#")) {
    const meaning = element("a", "", "该错误码的含义 What this error code means");
    meaning.href = json.type;
    reply.append(meaning);
  }
  if (!isOpened) form.elements.namedItem(json?.field ?? "")?.setAttribute("aria-invalid", "true");
}

function showFailure(failure) {
  reply.replaceChildren(
    element("p", "outcome refusal", "未收到响应 No reply"),
    element("p", "hint", `服务可能已停止，或网络不通。The service may be down, or the network. (${failure.message})`),
  );
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form));
  const focused = document.activeElement;
  for (const input of form.elements) input.removeAttribute("aria-invalid");
  showRequest(fields);
  sendButton.disabled = true;
  try {
    const response = await fetch(form.action, { method: "POST", body: fields });
    showReply(response, await response.text());
  } catch (failure) {
    showFailure(failure);
  }
  sendButton.disabled = false;
  // A disabled button loses the focus, and with it the keyboard's place on the page.
  if (document.activeElement === document.body) focused.focus({ preventScroll: true });
  reply.scrollIntoView({ block: "nearest" });
});

// A field that the browser refuses: nothing is sent, so no earlier request and reply stay beside it.
form.addEventListener(
  "invalid",
  () => {
    document.getElementById("request").hidden = true;
    reply.replaceChildren(...nothingSent);
  },
  { capture: true },
);

for (const button of form.querySelectorAll(".fresh")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    // randomUUID() would be simpler, but plain HTTP pages lack it.
    const [random] = crypto.getRandomValues(new BigUint64Array(1));
    button.previousElementSibling.value = random.toString(36);
  });
}

document.getElementById("exchange").hidden = false;
