// The steps of a person at the console, in headless Chromium. One argument: what to do, as JSON.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const modules = createRequire(`${process.env.CONSOLE_MODULES}/package.json`);
const { chromium } = modules("playwright-core");
const axe = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");
const task = JSON.parse(process.argv[2]);

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
/** WCAG 2.2 up to level AA. */
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

const browser = await chromium.launchPersistentContext(task.profile, {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS,
  viewport: { width: 1280, height: 900 }, locale: "nl-NL", javaScriptEnabled: task.steps !== "plain",
});
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(20_000);
const said = [];
page.on("console", (line) => { if (line.type() === "error") said.push(line.text()); });
page.on("pageerror", (error) => said.push(String(error)));
page.on("request", (request) => {
  const host = new URL(request.url()).hostname;
  if (!["127.0.0.1", "localhost"].includes(host)) said.push(`asked of elsewhere: ${request.url()}`);
});

/** What a checker says of this page, at the width of a desk and of a telephone. */
async function accessible(name) {
  for (const width of [1280, 320]) {
    await page.setViewportSize({ width, height: 900 });
    // Not as a script of the page, which its policy forbids.
    const found = await page.evaluate(async ([source, rules]) => {
      // eslint-disable-next-line no-new-func
      if (!window.axe) new Function(source)();
      const result = await window.axe.run(document, { runOnly: { type: "tag", values: rules } });
      return result.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(" | ")}`);
    }, [axe, RULES]).catch(async () => {
      // The policy forbids making code out of text: in a world of its own it may.
      const session = await browser.newCDPSession(page);
      const { frameTree } = await session.send("Page.getFrameTree");
      const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
      const run = async (expression) => {
        const answer = await session.send("Runtime.evaluate", {
          expression, contextId: executionContextId, awaitPromise: true, returnByValue: true,
        });
        if (answer.exceptionDetails) throw new Error(JSON.stringify(answer.exceptionDetails));
        return answer.result.value;
      };
      await run(`${axe};0`);
      const violations = await run(`axe.run(document, {runOnly: {type: "tag", values: ${JSON.stringify(RULES)}}})
        .then(r => r.violations.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html.slice(0, 160)).join(" | ")))`);
      await session.detach();
      return violations;
    });
    assert.deepEqual(found, [], `${name} at ${width}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    assert.equal(wide, false, `${name} at ${width} scrolls sideways`);
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

async function picture(name) {
  if (!task.pictures) return;
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.screenshot({ path: `${task.pictures}/console-${name}.png`, fullPage: height < 2000 });
}

async function logIn(role) {
  await page.goto(`${task.url}/console`);
  await page.getByLabel("Naam").fill(task.users[role]);
  await page.getByLabel("Wachtwoord").fill(task.password);
  await page.keyboard.press("Enter");
  await page.getByRole("navigation").waitFor();
}

/** Along the page by keyboard until something has the focus; as far as a person would go. */
async function tabTo(locator, most = 60) {
  for (let steps = 0; steps < most; steps++) {
    await page.keyboard.press("Tab");
    if (await locator.evaluate((node) => node === document.activeElement)) return;
  }
  assert.fail(`not reached by keyboard: ${locator}`);
}

async function heading(text) {
  await page.getByRole("heading", { level: 1, name: text }).waitFor();
}

const steps = {
  async operator() {
    await page.goto(`${task.url}/console/aanmelden`);
    await accessible("aanmelden");
    await picture("aanmelden");
    await page.getByLabel("Naam").fill(task.users.operator);
    await page.getByLabel("Wachtwoord").fill("verkeerd wachtwoord");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
    await accessible("aanmelden, geweigerd");
    said.length = 0; // The browser tells of an answer 401.
    await logIn("operator");
    await heading("Overzicht");

    // Overzicht: what is red, why, and live.
    const red = page.locator("ul.red");
    await red.getByText("neemt al").or(red.getByText("neemt niets aan")).first().waitFor();
    await red.getByText("geparkeerd: 4").waitFor();
    await accessible("overzicht");
    await picture("overzicht");
    const before = await page.locator("#nu time").first().getAttribute("datetime");
    await page.waitForFunction((was) => document.querySelector("#nu time").dateTime !== was, before);
    await page.getByRole("button", { name: "Niet meer vanzelf vernieuwen" }).click();
    await page.getByRole("button", { name: "Weer vanzelf vernieuwen" }).waitFor();

    // By keyboard alone: past the menu, and to the first thing that is red.
    await page.goto(`${task.url}/console/overzicht`);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Naar de inhoud");
    await page.keyboard.press("Enter");
    await tabTo(red.getByRole("link").first(), 5);
    await page.keyboard.press("Enter");
    await heading("Wachtrij");

    // In English, and back.
    await page.getByRole("link", { name: "English" }).click();
    await heading("Queue");
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
    await accessible("queue, in English");
    await page.goto(`${task.url}/console/overzicht`);
    await heading("Overview");
    await page.getByRole("link", { name: "Nederlands" }).click();
    await heading("Overzicht");

    // Bericht: found by each of its names, and never by a personal number.
    for (const sought of [task.delivered, task.trace]) {
      await page.goto(`${task.url}/console/bericht`);
      await page.getByLabel("Bericht-id, trace-id").fill(sought);
      await page.keyboard.press("Enter");
      await heading(`Bericht: ${task.delivered}`);
      assert.match(page.url(), /\/console\/bericht\/\d+$/);
    }
    await page.getByText("De handtekening klopt").waitFor();
    assert.equal(await page.getByRole("link", { name: "Bekijk de trace" }).getAttribute("href"),
      `http://127.0.0.1:9/trace/${task.trace}`);
    await page.getByRole("table", { name: "Gedeeld" }).waitFor();
    await accessible("bericht");
    await picture("bericht");
    const receipt = await page.getByRole("definition").filter({ has: page.locator("a[href^='/v1/receipts/'] code") }).innerText();
    await page.goto(`${task.url}/console/bericht`);
    await page.getByLabel("Bericht-id, trace-id").fill(receipt.trim());
    await page.keyboard.press("Enter");
    await heading(`Bericht: ${task.delivered}`);
    await page.goto(`${task.url}/console/bericht`);
    await accessible("zoeken");
    await page.getByLabel("Bericht-id, trace-id").fill("999990342");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("persoonsnummer").waitFor();
    assert(!page.url().includes("999990342"));
    said.length = 0;

    // Wachtrij: one by one, by keyboard.
    await page.goto(`${task.url}/console/wachtrij?toestand=parked`);
    await accessible("wachtrij");
    await picture("wachtrij");
    await page.getByRole("rowheader").first().getByRole("link").click();
    await accessible("bericht dat wacht");
    const old = await browser.newPage();
    await old.goto(page.url());
    await tabTo(page.getByLabel("Waarom"));
    await page.keyboard.type("Vlaardingen is aangesloten");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.locator("ol.course").getByText("Vlaardingen is aangesloten").waitFor();
    // Somebody else who looked before comes second.
    await old.getByLabel("Waarom").fill("te laat");
    await old.getByRole("button", { name: "Laten vervallen" }).click();
    await old.getByText("KP-8005").waitFor();
    await old.close();

    // A job over what is there, first dry.
    await page.goto(`${task.url}/console/wachtrij?toestand=parked`);
    await page.getByLabel("Laten vervallen").check();
    await page.getByLabel("Afleveringen per seconde").fill("50");
    await page.getByLabel("Waarom").fill("Vlaardingen sluit niet aan");
    await page.getByRole("button", { name: "Lijst vastzetten" }).click();
    await page.getByRole("heading", { level: 1, name: /^Opdracht \d+$/ }).waitFor();
    await page.getByRole("table", { name: "Proef" }).waitFor();
    await accessible("opdracht, proef");
    await picture("opdracht");
    await page.getByRole("button", { name: "Beginnen" }).click();
    for (let tries = 0; !(await page.getByText("klaar", { exact: true }).isVisible()); tries++) {
      assert(tries < 60, "the job does not end");
      await page.waitForTimeout(500);
      await page.getByRole("link", { name: "Vernieuwen" }).click();
    }
    await page.getByText("4 gedaan").waitFor();
    await page.goto(`${task.url}/console/opdrachten`);
    await accessible("opdrachten");

    await page.getByRole("button", { name: "Afmelden" }).click();
    await heading("Aanmelden");
    await page.goto(`${task.url}/console/overzicht`);
    await heading("Aanmelden");
  },

  /** Without script, everything is there. */
  async plain() {
    await logIn("operator");
    await heading("Overzicht");
    assert.equal(await page.getByRole("button", { name: "Niet meer vanzelf" }).isVisible(), false);
    await page.getByRole("link", { name: "Vernieuwen" }).click();
    await page.getByRole("link", { name: "geparkeerd: 1" }).click();
    await page.getByRole("rowheader").first().getByRole("link").click();
    await page.getByLabel("Waarom").fill("zonder script");
    await page.getByRole("button", { name: "Opnieuw aanbieden" }).click();
    await page.locator("ol.course").getByText("zonder script").waitFor();
    await page.getByRole("link", { name: "English" }).click();
    await page.getByRole("heading", { level: 1, name: /^Message/ }).waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await heading("Log in");
  },

  async assessor() {
    await logIn("assessor");
    await heading("Beoordelingen");
    await accessible("beoordelingen");
    await page.getByRole("link", { name: `Beoordelen ${task.yes}` }).click();
    await heading("Beoordelen");
    await accessible("beoordeling");
    await picture("beoordeling");
    const groups = page.getByRole("group");
    const count = await groups.count();
    assert(count >= 2, `${count} categories`);
    const choose = async (yes) => {
      for (let at = 0; at < count; at++) {
        const words = yes ? "mag worden gedeeld" : "niet delen";
        await page.getByRole("group").nth(at).getByLabel(words).check();
      }
    };
    await choose(true);
    await page.getByLabel("Waar het oordeel op rust").fill("dossier 2026-17");
    await page.getByRole("button", { name: "Vastleggen" }).click();
    await page.getByRole("status").getByText("Vastgelegd").waitFor();
    await page.goto(`${task.url}/console/beoordelingen/${task.no}`);
    await choose(false);
    await page.getByLabel("Waar het oordeel op rust").fill("geen noodzaak, dossier 2026-18");
    await page.getByRole("button", { name: "Vastleggen" }).click();
    await page.getByRole("status").getByText("Vastgelegd").waitFor();
    await page.goto(`${task.url}/console/wachtrij`);
    await page.getByText("KP-8000").waitFor();
    said.length = 0;
  },

  async privacy() {
    await logIn("privacy-officer");
    await page.getByRole("link", { name: "Beleid" }).click();
    await heading("Wie mag welke gegevens ontvangen");
    await accessible("beleid");
    await picture("beleid");
    await page.getByRole("link", { name: "voorgestelde beleid" }).click();
    await page.getByText("Geen verschil").waitFor();
    await accessible("voorstel");

    await page.goto(`${task.url}/console/beleid/proef`);
    const example = page.getByLabel("Voorbeelden");
    const names = await example.locator("option").allInnerTexts();
    await example.selectOption(names.find((name) => name.startsWith("casusoverleg.gegevens-gevraagd")));
    await page.getByRole("button", { name: "Nemen" }).click();
    await page.waitForFunction(() => document.getElementById("bericht").value.length > 100);
    await page.getByRole("button", { name: "Uitrekenen" }).click();
    await page.getByText("Politie").first().waitFor();
    await accessible("proef");
    await picture("proef");

    await page.getByRole("link", { name: "Inzage" }).click();
    await accessible("inzage");
    await page.getByLabel("Nummer").fill("123456789");
    await page.getByLabel("Waarom").fill("inzageverzoek 2026-114");
    await page.getByRole("button", { name: "Opzoeken" }).click();
    await page.getByRole("alert").waitFor();
    said.length = 0;
    await page.getByLabel("Nummer").fill(task.bsn);
    await page.getByRole("button", { name: "Opzoeken" }).click();
    await page.getByText("Gemeente Schiedam").waitFor();
    assert(!page.url().includes(task.bsn) && !(await page.content()).includes(task.bsn));
    await accessible("wat is verstrekt");
    await picture("inzage");
    await page.getByRole("link", { name: "Iemand anders" }).click();
    await page.getByLabel("Nummer").fill(task.bsn);
    await page.getByLabel("Waarom").fill("afdruk voor inzageverzoek 2026-114");
    await page.getByRole("button", { name: "De bladzijde voor de persoon" }).click();
    await heading("Welke gegevens over u zijn verstrekt");

    await page.goto(`${task.url}/console/logboek`);
    await page.getByText("inzageverzoek 2026-114", { exact: true }).waitFor();
    await accessible("logboek");
    await picture("logboek");
  },

  async administrator() {
    await logIn("administrator");
    await page.getByRole("link", { name: "Beheer" }).click();
    await heading("Beheer");
    await page.getByRole("rowheader", { name: "test.operator" }).waitFor();
    await accessible("beheer");
    await picture("beheer");
  },

  async provider() {
    await page.goto(`${task.url}/console`);
    await page.getByRole("link", { name: "account van uw organisatie" }).click();
    await page.getByRole("link", { name: "Verder als p.peters" }).click();
    await page.waitForURL(`${task.url}/**`);
    said.length = 0; // The provider has no icon.
    await heading("Overzicht");
    await page.getByText("p.peters").waitFor();
    await page.reload();
    await heading("Overzicht");
    const [cookie] = (await browser.cookies()).filter((cookie) => cookie.name === "ketenpoort-console");
    assert.equal(cookie.sameSite, "Strict");
    assert.equal(cookie.httpOnly, true);
    assert.equal(await page.evaluate(() => document.cookie), "");
  },
};

try {
  await steps[task.steps]();
  assert.deepEqual(said, [], "what the browser said");
  console.log("well");
} catch (error) {
  console.error(error);
  console.error(`at ${page.url()}\n${(await page.locator("body").innerText().catch(() => "")).slice(0, 3000)}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
