// Asks the gateway as a client would, shows which model answered and why, and rates.
//
// What models and people write is put in as text, never as markup.

const form = document.querySelector("#ask");
const talk = document.querySelector("#talk");
const said = document.querySelector("#said");
const stop = document.querySelector("#stop");
const messages = [];

const element = (name, kind, text) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text != null) made.textContent = text;
  return made;
};

const post = async (path, body, headers, signal) => {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
  });
  if (answer.ok) return answer;
  const read = await answer.json().catch(() => ({}));
  throw new Error(read.error?.message ?? `the gateway answered ${answer.status}`);
};

// Asks for an answer in pieces, each of which goes to `heard` as it comes. An answer is whole only if its end has come.
const converse = async (body, signal, heard) => {
  const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
  const answer = await post("/v1/chat/completions", streamed, { "x-slarouter-metadata": "enabled" }, signal);
  // Pieces have the name that the provider knows the model by.
  const named = answer.headers.get("x-slarouter-model");
  if (named) heard({ slarouter: { model: named } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the answer broke off");
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines.filter((line) => line.startsWith("data:"))) {
      const data = line.slice(5).trim();
      if (data === "[DONE]") return;
      const piece = JSON.parse(data);
      if (piece.error) throw new Error(piece.error.message);
      heard(piece);
    }
  }
};

const money = (usd) => (usd == null ? "an unknown cost" : `$${usd >= 1 ? usd.toFixed(2) : Number(usd.toPrecision(2))}`);

const entry = (kind, who, text) => {
  const item = element("li", kind);
  item.append(element("div", "who", who), element("p", "text", text));
  talk.append(item);
  item.scrollIntoView({ block: "nearest" });
  return item;
};

const thumbs = (id) => {
  const buttons = [["Good answer", "up"], ["Bad answer", "down"]].map(([label, rating]) => {
    const button = element("button", "", label);
    button.type = "button";
    button.ariaPressed = "false";
    button.addEventListener("click", async () => {
      const withdrawn = button.ariaPressed === "true";
      try {
        const answer = await post("/v1/feedback", { id, rating: withdrawn ? null : rating });
        const receipt = await answer.json();
        buttons.forEach((other) => { other.ariaPressed = String(other === button && !withdrawn); });
        said.textContent = `Rating ${receipt.status}.`;
      } catch (error) {
        said.textContent = `Not rated: ${error.message}`;
      }
    });
    return button;
  });
  return buttons;
};

const about = (id, details, usage, took) => {
  const line = element("div", "about");
  const why = element("a", "", "Why this model");
  why.href = `/dashboard/decisions/${encodeURIComponent(id)}`;
  line.append(
    element("span", "", details?.decision ?? ""),
    element("span", "", money(details?.cost_usd ?? usage?.cost)),
    element("span", "", took),
    why,
    ...thumbs(id),
  );
  return line;
};

// Shows an answer while it comes: what has come of it, and how long the first word and all of them took.
const shown = () => {
  const begun = performance.now();
  const item = entry("", "…", "");
  const [who, text] = item.children;
  // Screen readers hear of the answer once it is whole.
  talk.ariaBusy = "true";
  let id, details, usage, first;
  return {
    heard(piece) {
      id ??= piece.id;
      details = piece.slarouter ?? details;
      usage = piece.usage ?? usage;
      who.textContent = details?.model ?? piece.model ?? "…";
      const words = piece.choices?.[0]?.delta?.content;
      if (!words) return;
      first ??= performance.now() - begun;
      text.append(words);
      item.scrollIntoView({ block: "nearest" });
    },
    ended(problem) {
      talk.ariaBusy = "false";
      if (problem) {
        if (!text.textContent) item.remove();
        entry("", "The gateway", problem).setAttribute("role", "alert");
      }
      if (id && item.isConnected) {
        const whole = `${Math.round(performance.now() - begun)} ms`;
        item.append(about(id, details, usage, first == null ? whole : `first word ${Math.round(first)} ms, all ${whole}`));
      }
      return text.textContent;
    },
  };
};

let underWay;
stop.addEventListener("click", () => underWay?.abort());

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = form.elements.text.value.trim();
  if (!text || underWay) return;
  messages.push({ role: "user", content: text });
  entry("mine", "You", text);
  form.elements.text.value = "";
  underWay = new AbortController();
  stop.hidden = false;
  said.textContent = "The model is answering.";
  const answer = shown();
  try {
    await converse({ model: form.elements.model.value, messages }, underWay.signal, answer.heard);
    messages.push({ role: "assistant", content: answer.ended() });
    said.textContent = "Answered.";
  } catch (error) {
    const problem = error.name === "AbortError" ? "You stopped the answer." : error.message;
    answer.ended(problem);
    messages.pop();
    form.elements.text.value = text;
    said.textContent = "Not answered.";
  }
  underWay = undefined;
  stop.hidden = true;
  form.elements.text.focus();
});

form.elements.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
