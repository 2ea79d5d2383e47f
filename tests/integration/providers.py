# SPDX-License-Identifier: GPL-2.0-or-later
"""providers — how each provider signs, written anew from their documentation and sharing nothing with the daemon.

Not a test. `PROVIDERS` has a row per scheme of the daemon: the secret as its file has it, and a function that makes the
headers for a body at a time. `URL` is what the schemes that sign the URL have put in front of the path.
"""
import base64
import datetime
import hashlib
import hmac
import time

import lab

URL = 'https://hooks.example.org'
KEY = b'integration-tests-key-32-bytes!!'
WHSEC = 'whsec_' + base64.b64encode(KEY).decode()
TEXT = 'a-secret-taken-as-it-is'


def sha256(key, *parts):
    return hmac.new(key, b''.join(part.encode() if isinstance(part, str) else part for part in parts), hashlib.sha256)


def in_hex(*parts):
    return sha256(TEXT.encode(), *parts).hexdigest()


def in_base64(*parts):
    return base64.b64encode(sha256(TEXT.encode(), *parts).digest()).decode()


def unique(body):
    """An id that belongs to the body: the same event again has the same one."""
    return 'id-' + hashlib.sha256(body).hexdigest()[:16]


def iso(now):
    return datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def standard(prefix):
    def headers(body, now, _path):
        signature = base64.b64encode(sha256(KEY, f'{unique(body)}.{now}.', body).digest()).decode()
        return {f'{prefix}-id': unique(body), f'{prefix}-timestamp': now, f'{prefix}-signature': f'v1,{signature}'}
    return headers


def gitlab_token(body, _now, _path):
    return {'X-Gitlab-Token': TEXT, 'X-Gitlab-Event': 'Push Hook', 'Idempotency-Key': unique(body)}


def github(body, _now, _path):
    return {'X-Hub-Signature-256': 'sha256=' + in_hex(body), 'X-GitHub-Event': 'push'}


def stripe(body, now, _path):
    return {'Stripe-Signature': f't={now},v1={in_hex(str(now), ".", body)},v0={"0" * 64}'}


def slack(body, now, _path):
    return {'X-Slack-Request-Timestamp': now, 'X-Slack-Signature': 'v0=' + in_hex(f'v0:{now}:', body)}


def shopify(body, _now, _path):
    return {'X-Shopify-Hmac-Sha256': in_base64(body), 'X-Shopify-Topic': 'orders/create'}


def zen(body, now, _path):
    return {'X-Zen-Signature': f't={now},n={unique(body)},v1={in_hex(f"{now}.{unique(body)}.", body)}'}


def box(body, now, _path):
    return {'BOX-SIGNATURE-VERSION': 1, 'BOX-SIGNATURE-ALGORITHM': 'HmacSHA256', 'BOX-DELIVERY-TIMESTAMP': iso(now),
            'BOX-SIGNATURE-PRIMARY': in_base64(body, iso(now))}


def circleci(body, _now, _path):
    return {'circleci-signature': 'v1=' + in_hex(body), 'circleci-event-type': 'workflow-completed'}


def convoy(body, _now, _path):
    return {'X-Convoy-Signature': in_hex(body)}


def hubspot(body, now, path):
    return {'X-HubSpot-Request-Timestamp': now * 1000,
            'X-HubSpot-Signature-v3': in_base64('POST', URL + path, body, str(now * 1000))}


def sanity(body, now, _path):
    signature = in_base64(f'{now * 1000}.', body).replace('+', '-').replace('/', '_').rstrip('=')
    return {'sanity-webhook-signature': f't={now * 1000},v1={signature}'}


def square(body, _now, path):
    return {'x-square-hmacsha256-signature': in_base64(URL + path, body)}


def zendesk(body, now, _path):
    return {'X-Zendesk-Webhook-Signature-Timestamp': iso(now),
            'X-Zendesk-Webhook-Signature': in_base64(iso(now), body)}


PROVIDERS = {
    'standard-webhooks': (WHSEC, standard('webhook')), 'svix': (WHSEC, standard('svix')),
    'gitlab': (WHSEC, standard('webhook')), 'gitlab-token': (TEXT, gitlab_token), 'github': (TEXT, github),
    'stripe': (TEXT, stripe), 'slack': (TEXT, slack), 'shopify': (TEXT, shopify), 'zen': (TEXT, zen),
    'box': (TEXT, box), 'circleci': (TEXT, circleci), 'convoy': (TEXT, convoy), 'hubspot-v3': (TEXT, hubspot),
    'sanity': (TEXT, sanity), 'square': (TEXT, square), 'zendesk': (TEXT, zendesk),
}
# Those whose signature covers a time, and that refuse one that is too far off.
TIMED = ('standard-webhooks', 'svix', 'gitlab', 'stripe', 'slack', 'zen', 'box', 'hubspot-v3', 'zendesk')


def path_of(scheme):
    return f'/of/{scheme}'


def sign(scheme, body, now=None, path=None):
    """The headers of a request by that provider."""
    headers = PROVIDERS[scheme][1](body, int(time.time() if now is None else now), path or path_of(scheme))
    return {name: str(value) for name, value in headers.items()}


def endpoints(folder, public_url=True):
    """Configuration lines with an endpoint for each scheme, and their secret files."""
    lines = []
    (folder / 'secrets').mkdir(mode=0o700, parents=True, exist_ok=True)
    for scheme, (secret, _) in PROVIDERS.items():
        file = folder / 'secrets' / f'of-{scheme}'
        file.touch(mode=0o600)
        file.write_text(secret + '\n')
        url = f', public_url: "{URL}"' if public_url and scheme in ('square', 'hubspot-v3') else ''
        lines.append(f'  - {{ name: of-{scheme}, path: {path_of(scheme)}, scheme: {scheme}, '
                     f'secret_file: {file}, target: app{url} }}')
    return '\n'.join(lines)


def daemon(folder, target_url, **settings):
    """A daemon that has them all."""
    return lab.Daemon(folder, target_url, endpoints=endpoints(folder), **settings)
