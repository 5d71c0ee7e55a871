// Server-sent events: by the browser's EventSource, or, since that sends no
// header, by a reader of our own where a token was typed in.

import { ask, hasToken } from './api.js';


function browser(path, on) {
    const source = new EventSource(path);

    for (const type of ['progress', 'message']) {
        source.addEventListener(type, (event) => {
            on.event(type, event.data, event.lastEventId);
        });
    }

    source.addEventListener('open', on.open);
    source.addEventListener('error', () => {
        if (source.readyState === EventSource.CLOSED) {
            on.end();
        } else {
            on.wait();
        }
    });

    return () => source.close();
}


async function read(path, on, signal) {
    const answer = await ask(path, { signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let event = {};

    on.open();

    for (;;) {
        const { value, done } = await reader.read();

        if (done) {
            return;
        }

        const lines = (rest + value).split('\n');

        rest = lines.pop();

        for (const line of lines) {
            const [, name, data] = /^([a-z]+): ?(.*)$/.exec(line) || [];

            if (name) {
                event[name] = data;
            } else if (line === '' && event.data !== undefined) {
                on.event(event.event, event.data, event.id);
                event = {};
            }
        }
    }
}


function own(path, on) {
    const control = new AbortController();

    read(path, on, control.signal).catch(() => {}).then(() => {
        if (!control.signal.aborted) {
            on.end();
        }
    });

    return () => control.abort();
}


// returns what closes it; on.end() is called once it is over and nobody comes
// back by itself

export function follow(path, on) {
    return (hasToken() ? own : browser)(path, on);
}
