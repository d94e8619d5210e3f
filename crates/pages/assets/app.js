// Keeps the figures of a page up to date, from one stream of events. Without it the page shows what was so when it was loaded.
//
// Everything that comes from the gateway is put in as text, never as markup.

const put = (scope, values) => {
  for (const [name, value] of Object.entries(values)) {
    const place = scope.querySelector(`[data-live="${name}"]`);
    if (place && place.textContent !== value) place.textContent = value;
  }
};

const state = (scope, { word, tone, glyph }) => {
  const place = scope.querySelector("[data-state]");
  if (!place || place.dataset.state === word) return;
  place.className = `state ${tone}`;
  place.dataset.state = word;
  place.querySelector("path").setAttribute("d", glyph);
  place.lastChild.textContent = word;
};

// For so long figures may go without news before they are called old, in milliseconds.
const PATIENCE = 5000;

class LiveFigures extends HTMLElement {
  connectedCallback() {
    this.note = document.createElement("p");
    this.note.className = "alert warn";
    this.note.setAttribute("role", "alert");
    this.note.textContent = "The gateway does not answer: these figures are no longer up to date.";
    this.source = new EventSource(this.getAttribute("src"));
    this.source.addEventListener("open", () => this.lost(false));
    // A stream ends after a minute and is opened again: only one that stays away is told of.
    this.source.addEventListener("error", () => { this.waiting ??= setTimeout(() => this.lost(true), PATIENCE); });
    this.source.addEventListener("routes", (event) => {
      const routes = JSON.parse(event.data);
      for (const scope of this.querySelectorAll("[data-route]")) {
        const route = routes[scope.dataset.route];
        if (!route) continue;
        put(scope, route.figures);
        state(scope, route.state);
      }
    });
  }

  disconnectedCallback() {
    clearTimeout(this.waiting);
    this.source.close();
  }

  lost(isLost) {
    clearTimeout(this.waiting);
    this.waiting = undefined;
    if (isLost) this.prepend(this.note); else this.note.remove();
  }
}

customElements.define("live-figures", LiveFigures);

// A list that is chosen from is sent at once; without this, its button is there.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("change", () => form.requestSubmit());
}
