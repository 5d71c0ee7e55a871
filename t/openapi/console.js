'use strict';

// console.js URL GUARDED SECRET TOKEN PID PICTURES: the page for people, in
// Chromium, against a service, whose process is PID, and one that takes a token;
// prints the results, and leaves pictures in a folder.

const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const { chromium } = require('playwright-core');

const [, , url, guarded, secret, token, pid, pictures] = process.argv;

const axe = fs.readFileSync(require.resolve('axe-core'), 'utf8');
const errors = [];

let browser;


async function send(to, path, value) {
    const body = JSON.stringify(value);
    const mac = crypto.createHmac('sha256', secret).update(body).digest('hex');
    const answer = await fetch(to + path, { method: 'POST', body, headers: {
        'X-Signature': mac, 'X-Hub-Signature-256': `sha256=${mac}` } });

    assert.strictEqual(answer.status, 200);
}


const post = (message_id, rest = {}, to = url) => send(to, '/webhook', {
    message_id, from: '+4915110', to: '+14155550100',
    ts: new Date().toISOString(), text: 'Hello', ...rest });


async function open(path, options = {}) {
    const context = await browser.newContext({
        viewport: { width: 1440, height: 900 }, timezoneId: 'Asia/Kolkata',
        permissions: ['clipboard-read', 'clipboard-write'], ...options });
    const page = await context.newPage();

    page.setDefaultTimeout(60000);
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('dialog', (dialog) => {
        errors.push('a dialog');
        dialog.dismiss();
    });
    page.on('console', (line) => {
        if (line.type() === 'error'
            && !/the server responded with a status|ERR_FAILED/
                .test(line.text())) {
            errors.push(line.text());
        }
    });
    page.on('request', (request) => {
        if (!/^(blob|data):/.test(request.url())
            && ![url, guarded].some((host) => request.url().startsWith(host))) {
            errors.push(request.url());
        }
    });

    await page.goto(path.startsWith('http') ? path : `${url}/console/${path}`);

    return page;
}


const ids = (page, list = 'live') => page.locator(`#${list}-rows .line`)
    .evaluateAll((lines) => lines.map((line) => line.dataset.id));

const says = (page, where, words) =>
    page.locator(where).filter({ hasText: words }).waitFor();

const following = (page) => says(page, '#live-state', 'Following');

const top = (page, id) => page.waitForFunction((wanted) =>
    document.querySelector('#live-rows .line')?.dataset.id === wanted, id);


async function streams() {
    const metrics = await (await fetch(`${url}/metrics`)).text();

    return Number(/^lyftr_streams\S* (\d+)$/m.exec(metrics)[1]);
}


async function until(what, wanted) {
    const end = Date.now() + 60000;

    while (await what() !== wanted) {
        assert(Date.now() < end, `not ${wanted}`);
        await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
}


async function visible(page, is) {
    await page.evaluate((hidden) => {
        Object.defineProperty(document, 'hidden',
                              { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event('visibilitychange'));
    }, !is);
}


// what each page shows, once it is there

const READY = {
    live: following,
    search: (page) => says(page, '#found', /match/),
    numbers: (page) => says(page, '#ready', 'Ready'),
};


const TESTS = {

    async 'messages appear as they come, the newest on top'() {
        for (let i = 0; i < 12; i++) {
            await post(`first-${i}`, { from: `+49151${i % 5}`,
                text: ['Hello', 'Is it there?', 'مرحبا', 'Danke!'][i % 4] });
        }

        const page = await open('');

        await following(page);
        await top(page, 'first-11');
        await post('live-0');
        await post('live-1');
        await top(page, 'live-1');
        assert.deepStrictEqual((await ids(page)).slice(0, 3),
                               ['live-1', 'live-0', 'first-11']);
        await says(page, '#rate', /[1-9]\d* at most/);
        await page.screenshot({ path: `${pictures}/live.png` });
        assert.strictEqual(await streams(), 1);
        await page.context().close();
        await until(streams, 0);
    },

    async 'a pause loses nothing and says how many came'() {
        const page = await open('');

        await following(page);
        await top(page, 'live-1');
        await page.getByRole('button', { name: 'Pause' }).click();

        for (let i = 0; i < 5; i++) {
            await post(`paused-${i}`);
        }

        await says(page, '#live-count', '5 messages came while paused');
        assert.strictEqual((await ids(page))[0], 'live-1');
        await page.getByRole('button', { name: 'Resume' }).click();
        await top(page, 'paused-4');
        assert.deepStrictEqual((await ids(page)).slice(0, 6).reverse(),
            ['live-1', ...[0, 1, 2, 3, 4].map((i) => `paused-${i}`)]);
        await page.context().close();
    },

    async 'a hidden tab has no stream, and misses nothing'() {
        const page = await open('');

        await following(page);
        await until(streams, 1);
        await visible(page, false);
        await until(streams, 0);
        await post('hidden-0');
        await post('hidden-1');
        await visible(page, true);
        await top(page, 'hidden-1');
        assert.deepStrictEqual((await ids(page)).slice(0, 3),
                               ['hidden-1', 'hidden-0', 'paused-4']);
        await page.context().close();
    },

    async 'a stream that a browser gives up is made anew, where it was'() {
        const page = await open('');

        await following(page);
        await top(page, 'hidden-1');
        await visible(page, false);

        const asked = [];

        await page.route('**/messages/stream**', async (route) => {
            asked.push(route.request());
            await route.fulfill({ status: 503, body: '{"detail":"busy"}' });
        });
        await visible(page, true);
        await says(page, '#live .trouble', 'cannot read its store');
        await post('lost');
        await page.unroute('**/messages/stream**');
        await page.getByRole('button', { name: 'Try again' }).click();
        await top(page, 'lost');
        assert.match(asked[0].url(), /after=[A-Za-z0-9_-]{20}/);
        assert.strictEqual((await ids(page))[1], 'hidden-1');
        assert.strictEqual(await page.locator('#live .trouble').innerText(),
                           '');
        await page.context().close();
    },

    async 'a reload of the service loses nothing'() {
        const page = await open('');

        await following(page);
        await top(page, 'lost');

        await page.evaluate(() => {
            const state = document.getElementById('live-state');

            window.states = [];
            new MutationObserver(() => window.states.push(state.textContent))
                .observe(state, { childList: true });
        });
        process.kill(pid, 'SIGHUP');
        await post('reload');
        await page.waitForFunction(() =>
            /interrupted/.test(window.states.at(-2))
            && /Following/.test(window.states.at(-1)));

        for (let i = 0; i < 5; i++) {
            await post(`reload-${i}`);
        }

        await top(page, 'reload-4');
        assert.deepStrictEqual((await ids(page)).slice(0, 7).reverse(),
            ['lost', 'reload', ...[0, 1, 2, 3, 4].map((i) => `reload-${i}`)]);
        await page.context().close();
    },

    async 'what senders write never runs, nor turns other text around'() {
        const markup = '<img src=x onerror=alert(1)><script>alert(2)</script>'
                       + '<style>*{display:none}</style>';

        await post('markup', { text: markup });
        await post('<b>id</b>', { text: 'a\u202etxt.exe\u2066\u0007' });
        await post('emoji', { text: '\u{1f600}'.repeat(4096) });
        await post('marks', { text: '\u202e'.repeat(4096) });

        const page = await open('');

        await top(page, 'marks');

        const line = (id) => page.locator(`[data-id="${id}"]`);

        for (const id of ['markup', '<b>id</b>', 'emoji', 'marks']) {
            await line(id).click();
        }

        assert((await line('markup').innerText()).includes(markup));
        assert.match(await line('<b>id</b>').innerText(),
                     /aU\+202Etxt\.exeU\+2066U\+0007/);
        await page.locator('[title="U+202E RIGHT-TO-LEFT OVERRIDE"]').first()
            .waitFor();
        await says(page, '#live-rows dd', '\u{1f600}'.repeat(4096));
        assert.strictEqual(await page.locator(
            'main :is(img, script, style, b, [style], [onerror])').count(), 0);
        assert(!/[\u202a-\u202e\u2066-\u2069]/
            .test(await page.locator('body').textContent()));
        await page.context().close();
    },

    async 'pages lead back and forth, and a link to one is kept'() {
        await Promise.all(Array.from({ length: 130 }, (_, i) =>
            post(`page-${i}`, { from: '+777', text: `Nr. ${i} of PAGES`,
                ts: new Date(Date.UTC(2026, 0, 1, 0, 0, i)).toISOString() })));

        const page = await open('#search?from=%2B777&order=asc');
        const wanted = (a, b) => Array.from({ length: b - a },
                                            (_, i) => `page-${a + i}`);
        const shows = async (a, b) => {
            await page.waitForFunction(([first, n]) => {
                const lines = document.querySelectorAll('#search-rows .line');

                return lines.length === n && lines[0].dataset.id === first;
            }, [`page-${a}`, b - a]);
            assert.deepStrictEqual(await ids(page, 'search'), wanted(a, b));
        };
        const go = (name) => page.locator('#pages')
            .getByRole('link', { name }).click();

        await says(page, '#found', '130 messages match');
        await shows(0, 50);
        await go('Next');
        await shows(50, 100);
        assert.strictEqual(await page.evaluate(() =>
            document.activeElement.id), 'search-title');
        await page.reload();
        await shows(50, 100);

        const other = await open(page.url());

        await says(other, '#found', '130 messages match');
        assert.deepStrictEqual(await ids(other, 'search'), wanted(50, 100));
        assert.strictEqual(await other.locator('#f-from').inputValue(), '+777');
        await other.context().close();

        await go('Next');
        await shows(100, 130);
        assert.strictEqual(await page.locator('#next').getAttribute('href'),
                           null);
        await go('Previous');
        await shows(50, 100);
        await go('Previous');
        await shows(0, 50);
        await go('Last');
        await shows(80, 130);
        await go('Previous');
        await shows(30, 80);
        await go('Previous');
        await shows(0, 50);
        assert(!page.url().includes('before='));
        await page.goBack();
        await page.context().close();
    },

    async 'filters go into the address'() {
        const page = await open('#search');

        await page.getByLabel('Sender', { exact: true }).fill('+777');
        await page.getByLabel('Text').fill('of pages');
        await page.getByLabel('From', { exact: true })
            .fill('2026-01-01T05:30:10');
        await page.getByLabel('Until').fill('2026-01-01T05:30:20');
        await page.getByLabel('Order').selectOption('Newest first');
        await page.getByLabel('Order').press('Enter');
        await page.locator('#filters').getByRole('button', { name: 'Look up' })
            .click();
        await says(page, '#found', '10 messages match');
        assert.strictEqual((await ids(page, 'search'))[0], 'page-19');
        assert.match(page.url(),
                     /from=%2B777&q=of%20pages&since=2026-01-01T00/);

        const when = page.locator('#search-rows time').first();

        assert.strictEqual(await when.innerText(), '2026-01-01 05:30:19');
        assert.strictEqual(await when.getAttribute('title'),
                           '2026-01-01 00:00:19 UTC');

        for (const [name, begin, lines] of [['NDJSON', '{"message_id"', 10],
                                            ['CSV', 'message_id,', 11],
                                            ['CSV for spreadsheets',
                                             '\ufeffmessage_id,', 11]]) {
            const waits = page.waitForEvent('download');

            await page.getByRole('link', { name, exact: true }).click();

            const file = await waits;
            const text = fs.readFileSync(await file.path(), 'utf8');

            assert.match(file.suggestedFilename(), /^main-.*\.(ndjson|csv)$/);
            assert(text.startsWith(begin));
            assert.strictEqual(text.trimEnd().split('\n').length, lines);
        }

        await page.getByRole('button', { name: 'Clear' }).click();
        await page.waitForURL(/#search\?order=desc$/);
        await page.context().close();
    },

    async 'a row opens to all of it, and is copied as it came'() {
        const raw = { from: '4917', id: 'wamid.1=', timestamp: '1767225600',
                      type: 'text', text: { body: 'of Meta' }, empty: [] };

        await send(url, '/whatsapp', { object: 'whatsapp_business_account',
            entry: [{ changes: [{ field: 'messages', value: {
                messages: [raw] } }] }] });

        const page = await open('#search?q=of%20meta');
        const line = page.locator('#search-rows .line');

        await line.click();
        assert.strictEqual(await line.getAttribute('aria-expanded'), 'true');
        await says(page, '#search-rows pre', '"body": "of Meta"');
        assert.strictEqual(await page.locator('pre').innerText(),
                           JSON.stringify(raw, null, 2));
        await page.getByRole('button', { name: 'Copy JSON' }).click();
        await says(page, '#search-rows', 'Copied.');
        assert.deepStrictEqual(JSON.parse(await page.evaluate(
            () => navigator.clipboard.readText())), raw);
        await page.context().close();
    },

    async 'numbers are those of the service'() {
        const stats = await (await fetch(`${url}/stats`)).json();
        const page = await open('#numbers');

        await says(page, '#ready', 'Ready: it can store messages.');
        await says(page, '#totals', stats.total_messages.toLocaleString('en'));
        assert.strictEqual(await page.locator('#senders li').count(),
                           stats.messages_per_sender.length);
        await page.route('**/health/ready', (route) => route.fulfill({
            status: 503,
            body: '{"status":"unavailable","detail":"the disk is full"}' }));
        await page.getByRole('button', { name: 'Refresh' }).click();
        await says(page, '#ready', 'Not ready: the disk is full.');
        await page.locator('#senders a').first().click();
        await says(page, '#found', '130 messages match');
        await page.context().close();
    },

    async 'errors are said in words, with a way to try again'() {
        const page = await open('#search?since=yesterday');

        await says(page, '#search .trouble', 'since: Input should be a date');
        await page.route('**/messages?**', (route) => route.abort());
        await page.goto(`${url}/console/#search?q=hello`);
        await says(page, '#search .trouble', 'cannot be reached');
        await page.unroute('**/messages?**');
        await page.locator('#search').getByRole('button', { name: 'Try again' })
            .click();
        await says(page, '#found', 'match');
        assert.strictEqual(await page.locator('#search .trouble').innerText(),
                           '');
        await page.context().close();
    },

    async 'the keyboard does all of it'() {
        const page = await open('');
        const press = (key) => page.keyboard.press(key);
        const focused = () => page.evaluate(() => {
            const { activeElement: at } = document;

            return at.dataset.id || at.textContent.trim();
        });
        const to = async (name) => {
            for (let i = 0; await focused() !== name; i++) {
                assert(i < 30, `no way to ${name}`);
                await press('Tab');
            }
        };

        await following(page);
        await top(page, 'marks');
        await to('Pause');
        await press('Enter');
        await says(page, '#pause', 'Resume');
        await to('marks');
        await press('ArrowDown');
        assert.strictEqual(await focused(), 'emoji');
        await press('Enter');
        await says(page, '#live-rows', 'Copy as JSON');
        await press('ArrowUp');
        assert.strictEqual(await focused(), 'marks');
        await page.locator('h1').click();
        await to('Look up');
        await press('Enter');
        await says(page, '#found', 'match');
        await page.context().close();
    },

    async 'axe finds nothing, at both widths and in both schemes'() {
        for (const width of [360, 1440]) {
            for (const colorScheme of ['light', 'dark']) {
                for (const [view, ready] of Object.entries(READY)) {
                    const page = await open(`#${view}`, { colorScheme,
                        viewport: { width, height: 900 } });

                    await ready(page);

                    const line = page.locator(`#${view}-rows .line`).first();

                    if (view !== 'numbers') {
                        await line.click();
                        await page.locator('.raw button').waitFor();
                    }

                    await page.evaluate(axe);

                    const { violations } = await page.evaluate(
                        () => window.axe.run());

                    assert.deepStrictEqual(violations.map(({ id, nodes }) =>
                        `${view} ${width} ${colorScheme} ${id} `
                        + nodes[0].html), []);
                    assert(await page.evaluate(() =>
                        document.documentElement.scrollWidth
                            <= document.documentElement.clientWidth),
                           `${view} is wider than ${width}`);
                    await page.screenshot({
                        path: `${pictures}/${view}-${width}-${colorScheme}.png`,
                    });
                    await page.context().close();
                }
            }
        }
    },

    async 'a token is asked for, and kept nowhere but in the page'() {
        await post('guarded-0', {}, guarded);

        const page = await open(`${guarded}/console/`);
        const use = async (text) => {
            await page.getByLabel('Token', { exact: true }).fill(text);
            await page.keyboard.press('Enter');
        };

        await says(page, '#live .trouble', 'Reading takes a token here.');
        assert.strictEqual(await page.evaluate(() =>
            document.activeElement.id), 'token-text');
        await page.evaluate(axe);
        assert.deepStrictEqual((await page.evaluate(
            () => window.axe.run())).violations.map(({ id }) => id), []);

        await use('wrong');
        await says(page, '#live .trouble', 'This token is not one');
        await use(token);
        await following(page);
        await top(page, 'guarded-0');
        await post('guarded-1', {}, guarded);
        await top(page, 'guarded-1');

        await page.getByRole('link', { name: 'Look up' }).click();
        await says(page, '#found', '2 messages match');

        await page.evaluate(() => { delete window.showSaveFilePicker; });

        const waits = page.waitForEvent('download');

        await page.getByRole('link', { name: 'NDJSON' }).click();
        assert.strictEqual(fs.readFileSync(await (await waits).path(), 'utf8')
            .trimEnd().split('\n').length, 2);

        assert.strictEqual(await page.evaluate(() => JSON.stringify(
            [{ ...localStorage }, { ...sessionStorage }, document.cookie])),
                           '[{},{},""]');
        assert(!page.url().includes(token));
        await page.reload();
        await page.getByLabel('Token', { exact: true }).waitFor();
        await page.context().close();
    },

    async 'nothing failed, broke the policy, or asked another host'() {
        assert.deepStrictEqual(errors, []);
    },
};


async function main() {
    browser = await chromium.launch({
        executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });

    for (const [name, test] of Object.entries(TESTS)) {
        try {
            await test();
            console.log(`ok ${name}`);
        } catch (error) {
            console.log(`not ok ${name}`);
            console.log(String(error.stack).replace(/^/gm, '# '));
            await Promise.all(browser.contexts().map((one) => one.close()));
        }
    }

    await browser.close();
}


main();
