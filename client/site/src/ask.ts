/**
 * The one question that the script asks in the site's own page: which server. It is made by DOM calls
 * and styled through CSSOM, so the strictest policy of a site lets it be; it stands in a shadow
 * tree, so that the site's styles and it do not meet.
 */
import { BelfryError } from "./errors.js";
import { serverOrigin } from "./origin.js";
import { words } from "./words.js";

const STYLE = `
:host { all: initial }
dialog { box-sizing: border-box; width: min(26rem, calc(100vw - 2rem)); border: 1px solid color-mix(in srgb, CanvasText 25%, Canvas);
  border-radius: 12px; padding: 1.25rem; color-scheme: light dark; background: Canvas; color: CanvasText; font: 16px/1.5 system-ui, sans-serif }
dialog::backdrop { background: rgb(0 0 0 / .5) }
h2 { margin: 0 0 .5rem; font-size: 1.2rem; line-height: 1.3 }
p { margin: 0 0 1rem; overflow-wrap: anywhere }
label { display: block; font-weight: 600 }
input { box-sizing: border-box; width: 100%; margin: .25rem 0 .5rem; padding: .6rem; font: inherit; border: 1px solid GrayText; border-radius: 8px }
.wrong { min-height: 1.5em; margin: 0; font-size: .9rem; color: light-dark(#b42318, #ffa198) }
.row { display: flex; justify-content: flex-end; gap: .5rem; margin-top: .5rem }
button { min-height: 44px; padding: 0 1rem; font: inherit; border-radius: 8px; border: 1px solid GrayText; cursor: pointer }
button[type=submit] { background: #1d4ed8; border-color: transparent; color: #fff }
:focus-visible { outline: 3px solid #3b82f6; outline-offset: 2px }
`;

type Made = "button" | "dialog" | "div" | "form" | "h2" | "input" | "label" | "p";

/** Resolves within the user's click, so that a window may be opened at once. */
export function askServer(page: Window & typeof globalThis): Promise<string> {
  const document = page.document;
  return new Promise((resolve, reject) => {
    const make = <K extends Made>(name: K, properties: Partial<HTMLElementTagNameMap[K]> = {}): HTMLElementTagNameMap[K] =>
      Object.assign(document.createElement(name), properties) as HTMLElementTagNameMap[K];
    const host = make("div");
    const dialog = make("dialog");
    const title = make("h2", { id: "title", textContent: words.title });
    const why = make("p", { textContent: words.why(page.location.host) });
    const label = make("label", { htmlFor: "server", textContent: words.label });
    const input = make("input", { id: "server", placeholder: words.placeholder, required: true, spellcheck: false, autocapitalize: "off" });
    const wrong = make("p", { id: "wrong", className: "wrong" });
    const cancel = make("button", { type: "button", textContent: words.cancel });
    const go = make("button", { type: "submit", textContent: words.go });
    const row = make("div", { className: "row" });
    const form = make("form", { noValidate: true });
    input.setAttribute("inputmode", "url");
    input.setAttribute("aria-describedby", "wrong");
    wrong.setAttribute("role", "alert");
    dialog.setAttribute("aria-labelledby", "title");
    row.append(cancel, go);
    form.append(title, why, label, input, wrong, row);
    dialog.append(form);

    const shadow = host.attachShadow({ mode: "open" });
    const sheet = new page.CSSStyleSheet();
    sheet.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [sheet];
    shadow.append(dialog);

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      try {
        const server = serverOrigin(input.value);
        resolve(server);
        dialog.close();
      } catch (error) {
        wrong.textContent = (error as BelfryError).message;
        input.setAttribute("aria-invalid", "true");
        input.focus();
      }
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      host.remove();
      reject(new BelfryError("closed", "The user gave no server"));
    });
    document.body.append(host);
    dialog.showModal();
    input.focus();
  });
}
