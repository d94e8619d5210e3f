// Asks the gateway as a client would, shows which model answered and why, and rates.
//
// What models and people write is put in as text, never as markup.

const form = document.querySelector("#ask");
const talk = document.querySelector("#talk");
const said = document.querySelector("#said");
const messages = [];

const element = (name, kind, text) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text != null) made.textContent = text;
  return made;
};

const send = async (path, body, headers = {}) => {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(read.error?.message ?? `the gateway answered ${answer.status}`);
  return read;
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
        const receipt = await send("/v1/feedback", { id, rating: withdrawn ? null : rating });
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

const about = (answer, took) => {
  const { slarouter: details } = answer;
  const line = element("div", "about");
  const why = element("a", "", "Why this model");
  why.href = `/dashboard/decisions/${encodeURIComponent(answer.id)}`;
  const cost = details?.cost_usd ?? answer.usage?.cost;
  line.append(
    element("span", "", details?.decision ?? ""),
    element("span", "", money(cost)),
    element("span", "", `${Math.round(took)} ms`),
    why,
    ...thumbs(answer.id),
  );
  return line;
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = form.elements.text.value.trim();
  const button = form.querySelector("button");
  if (!text || button.disabled) return;
  messages.push({ role: "user", content: text });
  entry("mine", "You", text);
  form.elements.text.value = "";
  button.disabled = true;
  said.textContent = "The model is answering.";
  const begun = performance.now();
  try {
    const answer = await send("/v1/chat/completions", { model: form.elements.model.value, messages }, { "x-slarouter-metadata": "enabled" });
    const message = answer.choices?.[0]?.message;
    messages.push({ role: "assistant", content: message?.content ?? "" });
    const item = entry("", answer.slarouter?.model ?? answer.model, message?.content ?? "");
    item.append(about(answer, performance.now() - begun));
    said.textContent = "Answered.";
  } catch (error) {
    messages.pop();
    form.elements.text.value = text;
    entry("", "The gateway", error.message).setAttribute("role", "alert");
    said.textContent = "Not answered.";
  }
  button.disabled = false;
  form.elements.text.focus();
});

form.elements.text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
