// The page of the example site: what a real one does, with everything shown.
const $ = (id) => document.getElementById(id);
const say = (text) => ($("status").textContent = text);

/** What the site tells its users, by the error's code. */
const WORDS = {
  blocked: "Your browser blocked the window. Allow windows for this site, and try again.",
  busy: "You are being asked already: look for the other window.",
  closed: "You closed the window. Nothing was changed.",
  declined: "You declined. This site will not notify you.",
  server: "That is not the address of a Belfry server.",
  timeout: "There was no answer.",
};

// Fetched before the click: a browser opens a window only while the click is fresh.
const keys = await get("/keys");
await list();
$("subscribe").disabled = false;

$("subscribe").addEventListener("click", async () => {
  const sealed = $("sealed").checked;
  say("Waiting for your answer in the other window…");
  try {
    const subscription = await belfry.subscribe({
      ...(keys.server && { server: keys.server }),
      applicationServerKey: keys.applicationServerKey,
      ...(sealed && { siteKey: keys.siteKey }),
      name: "Example site",
    });
    const { id } = await post("/subscriptions", { subscription, sealed });
    await list();
    $("to").value = id;
    say("Subscribed.");
  } catch (error) {
    say(WORDS[error.code] ?? error.message);
  }
});

$("forget").addEventListener("click", () => {
  belfry.forgetServer();
  say("The next time you are asked for your server.");
});

$("send").addEventListener("submit", async (event) => {
  event.preventDefault();
  const notification = { title: $("title").value, body: $("body").value };
  if ($("url").value) notification.url = $("url").value;
  try {
    const answer = await post("/send", { id: $("to").value, notification, options: { urgency: $("urgency").value } });
    if (answer.dropped) {
      await list();
      say(`${answer.status}: the user took the permission back. The subscription is dropped.`);
    } else {
      say(answer.status === 201 ? "201: accepted." : `${answer.status}: ${answer.detail}`);
    }
  } catch (error) {
    say(error.message);
  }
});

async function list() {
  const subscriptions = await get("/subscriptions");
  const name = ({ server, sealed, since }) => `${server}, since ${since.slice(11, 19)}${sealed ? ", sealed" : ""}`;
  const make = (tag, entry) => Object.assign(document.createElement(tag), { textContent: name(entry) });
  $("list").replaceChildren(...subscriptions.map((entry) => make("li", entry)));
  $("to").replaceChildren(...subscriptions.map((entry) => Object.assign(make("option", entry), { value: entry.id })));
}

async function get(path) {
  return (await fetch(path)).json();
}

async function post(path, value) {
  const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}
