// What an admin does in the dashboard, by the names that stand there, and what a script does over its API.
import { aria, gone, press, see, text, type } from "./sees.mjs";

export const ADMIN_PASSWORD = "vexed llama rides a quiet moped";

export class Dashboard {
  constructor(page, server) {
    this.page = page;
    this.server = server;
  }

  static async open(profile, server, path = "/admin") {
    const page = await profile.page();
    // Below this width it is made for phones, and tables are lists.
    await page.setViewport({ width: 1280, height: 900 });
    await page.goto(new URL(path, server.origin).href);
    return new Dashboard(page, server);
  }

  /** The first admin, by the link that the server printed at its start. */
  static async setUp(profile, server, username = "grace") {
    const dashboard = await Dashboard.open(profile, server, await server.setupLink());
    const { page } = dashboard;
    await see(page, "heading", "Set up Belfry");
    await type(page, "User name", username);
    await type(page, "Password", ADMIN_PASSWORD);
    await press(page, "button", "Become the admin");
    await see(page, "heading", "Overview");
    return dashboard;
  }

  async signIn(username, password = ADMIN_PASSWORD) {
    await see(this.page, "heading", "Sign in");
    await type(this.page, "User name", username);
    await type(this.page, "Password", password);
    await press(this.page, "button", "Sign in");
  }

  async go(where, heading) {
    await this.page.goto(`${this.server.origin}/admin#/${where}`);
    await see(this.page, "heading", heading);
  }

  /** Blocks what the page that is open is about. */
  async block(name, reason) {
    await press(this.page, "button", `Block ${name}`);
    await text(this.page, "What follows for");
    await type(this.page, "Reason", reason);
    await this.page.locator("dialog button[type=submit]").click();
    await text(this.page, `${name} is blocked`);
  }

  /** `limits`: what its field is called, and the value typed there. */
  async ownLimits(limits) {
    await press(this.page, "button", "Change");
    for (const [name, value] of Object.entries(limits)) await type(this.page, name, value);
    await press(this.page, "button", "Save");
    await gone(this.page, "button", "Save");
  }

  async createUser(username, role) {
    await this.go("users", "Users");
    await press(this.page, "button", "Create a user");
    await type(this.page, "User name", username);
    await type(this.page, "First password", ADMIN_PASSWORD);
    await this.page.select("dialog select", role);
    await press(this.page, "button", "Create");
    await text(this.page, `${username} was created`);
  }

  /** An act of this page's session, as a page of ours would ask for it; gives the status and the problem. */
  async asks(method, path, body) {
    return this.page.evaluate(
      async (method, path, body) => {
        const answer = await fetch(`/admin/v1${path}`, {
          method,
          headers: { "Content-Type": "application/json", "X-Belfry-Admin": "1" },
          ...(body === null ? {} : { body: JSON.stringify(body) }),
        });
        return { status: answer.status, problem: answer.ok ? null : await answer.json() };
      },
      method,
      path,
      body ?? null,
    );
  }

  /** The names of the buttons that can be pressed on the page. */
  async buttons() {
    const found = await this.page.$$(aria("button"));
    return Promise.all(found.map((one) => one.evaluate((button) => button.getAttribute("aria-label") ?? button.innerText.trim())));
  }
}
