'use strict';

// large.js URL ROWS SECONDS: the page for people in Chromium, against a service
// with so many rows; prints each step that it did, and the milliseconds that it
// took, and ends at one that is not done in so many seconds.

const assert = require('node:assert');
const { chromium } = require('playwright-core');

const [, , url, rows, patience] = process.argv;
const total = Number(rows).toLocaleString('en');

const LINE = '#search-rows .line';


async function main() {
    const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
    const page = await browser.newPage({ locale: 'en' });

    page.setDefaultTimeout(1000 * patience);

    const first = () => page.locator(LINE).first().getAttribute('data-id');
    const says = (where, words) =>
        page.locator(where).filter({ hasText: words }).waitFor();
    const timed = async (name, what) => {
        const start = Date.now();

        await what();
        console.log(`${name} ${Date.now() - start}`);
    };
    const go = async (name) => {
        const before = await first();

        await page.locator('#pages').getByRole('link', { name }).click();
        await page.waitForFunction(([line, id]) => {
            const at = document.querySelector(line);

            return at && at.dataset.id !== id;
        }, [LINE, before]);
        assert.strictEqual(await page.locator(LINE).count(), 50);
    };

    await timed('load', async () => {
        await page.goto(`${url}/console/#search`);
        await says('#found', `${total} messages match`);
    });

    const newest = await first();

    await timed('next', () => go('Next'));
    await timed('last', () => go('Last'));
    await timed('previous', () => go('Previous'));

    const deep = await first();

    await timed('link', async () => {
        await page.reload();
        await says('#found', total);
        assert.strictEqual(await first(), deep);
    });
    await timed('first', () => go('First'));
    assert.strictEqual(await first(), newest);
    await timed('live', async () => {
        await page.goto(`${url}/console/#live`);
        await says('#live-state', 'Following');
        await page.locator('#live-rows .line').first().waitFor();
    });
    await timed('numbers', async () => {
        await page.goto(`${url}/console/#numbers`);
        await says('#totals', total);
    });

    await browser.close();
}


main().catch((error) => {
    console.error(error.message.split('\n')[0]);
    process.exit(1);
});
