// Requests to the service, and what its refusals mean in words.

let token = '';

export const refused = new EventTarget();

export const hasToken = () => token !== '';

export function useToken(text) {
    token = text;
}


export class Failure extends Error {
    constructor(words, status = 0) {
        super(words);
        this.status = status;
    }
}


const fault = (one) => `${one.loc.slice(1).join(' ')}: ${one.msg}`;


function words(status, body, after) {
    const { detail } = body;

    switch (status) {
    case 401:
        return token === '' ? 'Reading takes a token here.'
            : 'This token is not one that may read here.';
    case 403:
        return 'Your address may not read here.';
    case 404:
        return 'Messages are not read at this address: it may be that of the '
               + 'senders.';
    case 422:
        return Array.isArray(detail)
            ? `The service does not take this: ${detail.map(fault).join('; ')}.`
            : 'The service does not take this.';
    case 503:
        return 'The service cannot read its store just now'
               + `${typeof detail === 'string' ? ` (${detail})` : ''}.`
               + `${after ? ` It asks for ${after} s of patience.` : ''}`;
    default:
        return `The service answered ${status}.`;
    }
}


// the answer of one that was not refused

export async function ask(path, options = {}) {
    const headers = token === '' ? {} : { Authorization: `Bearer ${token}` };
    let answer;

    try {
        answer = await fetch(path, { ...options,
            headers: { ...headers, ...options.headers },
            cache: 'no-store', credentials: 'same-origin' });
    } catch (error) {
        if (error.name === 'AbortError') {
            throw error;
        }

        throw new Failure('The service cannot be reached.');
    }

    if (answer.ok) {
        return answer;
    }

    if (answer.status === 401) {
        refused.dispatchEvent(new Event('token'));
    }

    const body = await answer.json().catch(() => ({}));

    throw new Failure(words(answer.status, body,
                            answer.headers.get('Retry-After')), answer.status);
}


export async function text(path, options) {
    const answer = await ask(path, options);

    try {
        return [await answer.text(), answer];
    } catch (error) {
        if (error.name === 'AbortError') {
            throw error;
        }

        throw new Failure('The answer of the service ended too early.');
    }
}


export async function json(path, options) {
    const [body, answer] = await text(path, options);

    try {
        return [JSON.parse(body), answer];
    } catch {
        throw new Failure('The answer is none of the service.');
    }
}


export function query(parameters) {
    return Object.entries(parameters)
        .filter(([, value]) => value !== undefined && value !== '')
        .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
        .join('&');
}


// says what failed, with a way to try again; nothing takes it back

export function trouble(section, failure, again) {
    const box = section.querySelector('.trouble');

    box.replaceChildren();

    if (failure) {
        const button = document.createElement('button');

        button.type = 'button';
        button.textContent = 'Try again';
        button.addEventListener('click', again);
        box.append(failure.message, ' ', button);
    }
}
