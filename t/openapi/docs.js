'use strict';

// docs.js URL SECRET: tries out a delivery on the page of the description, in
// Chromium, and prints what became of it, as JSON.

const { chromium } = require('playwright-core');

const [, , url, secret] = process.argv;


async function deliver(page) {
    const operation = page.locator('#operations-webhook-deliver');

    if (await operation.locator('.execute').count() === 0) {
        await operation.locator('.opblock-summary-control').first().click();
    }

    const answer = page.waitForResponse((one) => one.url().endsWith('/webhook'));

    await operation.locator('.execute').click();

    const response = await answer;

    return { status: response.status(),
             request: response.request().postData(),
             headers: response.request().headers() };
}


async function main() {
    const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
    const page = await browser.newPage();
    const said = { errors: [], sent: '' };

    page.on('pageerror', (error) => said.errors.push(String(error)));
    page.on('console', (line) => {
        if (line.type() === 'error' && !/status of 401/.test(line.text())) {
            said.errors.push(line.text());
        }
    });
    page.on('request', (one) => {
        said.sent += one.url() + JSON.stringify(one.headers())
                     + (one.postData() || '');
    });

    await page.goto(`${url}/docs`);
    await page.waitForSelector('.opblock');

    said.heads = await page.locator('.opblock-head').count();
    said.unsigned = await deliver(page);

    await page.getByLabel('The secret that signs').fill(secret);
    said.signed = await deliver(page);

    await page.reload();
    await page.waitForSelector('.opblock');
    said.kept = await page.getByLabel('The secret that signs').inputValue();
    said.stored = await page.evaluate(() => JSON.stringify(
        [{ ...localStorage }, { ...sessionStorage }, document.cookie]));

    await browser.close();
    console.log(JSON.stringify(said));
}


main();
