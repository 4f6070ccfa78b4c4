"""The HTML of the pages that the sandbox shows, as Jinja templates by name.

Used by `_pages`. It promises that an application that was bundled into one executable has them too: therefore they are
in a module, and not in files of their own. A template never loads anything from another place.
"""

# ruff: noqa: E501 - a declaration of CSS and an element of HTML are one line each

from __future__ import annotations

from collections.abc import Mapping

TEMPLATES: Mapping[str, str] = {
    "base.html": """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{% block title %}{% endblock %}</title>
<link rel="icon" href="data:,">
<style nonce="{{ nonce }}">
:root { color-scheme: light dark; --ink: #1a1f2b; --soft: #566072; --paper: #fff; --ground: #f2f4f8; --line: #c3cad6; --act: #1d4ed8; --on-act: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #eef1f6; --soft: #aab4c4; --paper: #1b212d; --ground: #11151d; --line: #465064; --act: #8fb4ff; --on-act: #0b1530; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 28rem; padding: 2rem; background: var(--paper); border: 1px solid var(--line); border-radius: .75rem; }
h1 { margin: 0 0 .5rem; font-size: 1.375rem; line-height: 1.25; }
p { margin: 0 0 1rem; }
.soft { color: var(--soft); }
code { overflow-wrap: anywhere; }
ul { margin: 0 0 1.25rem; padding-left: 1.25rem; }
label { display: block; margin-bottom: .25rem; font-weight: 600; }
input + label { margin-top: 1rem; }
input { width: 100%; padding: .625rem .75rem; border: 1px solid var(--soft); border-radius: .5rem; background: transparent; color: inherit; font: inherit; }
.buttons { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0; }
button { flex: 1 1 8rem; min-height: 2.75rem; padding: .5rem 1rem; border: 1px solid var(--act); border-radius: .5rem; background: transparent; color: var(--act); font: inherit; font-weight: 600; cursor: pointer; }
button.primary { background: var(--act); color: var(--on-act); }
:focus-visible { outline: 3px solid var(--act); outline-offset: 2px; }
</style>
</head>
<body>
<main>
{% block main %}{% endblock %}
</main>
</body>
</html>
""",
    "consent.html": """\
{% extends "base.html" %}
{% block title %}Allow access? &ndash; Blnk Cloud sandbox{% endblock %}
{% block main %}
<h1>Allow access to your Blnk Cloud workspace?</h1>
<p class="soft">This is a sandbox: nothing here is real.</p>
<p>The application <code>{{ client_id }}</code> asks to:</p>
<ul>
{% for permission in permissions %}
<li>{{ permission }}</li>
{% endfor %}
</ul>
<form method="post">
<label for="subject">Sign in as</label>
<input id="subject" name="subject" value="alice" list="people" required maxlength="200" autocomplete="username" autocapitalize="none" spellcheck="false">
<datalist id="people"><option value="alice"></option><option value="bob"></option></datalist>
<div class="buttons">
<button class="primary" name="decision" value="approve">Approve</button>
<button name="decision" value="deny" formnovalidate>Deny</button>
</div>
</form>
<p class="soft">Afterwards you return to <code>{{ redirect_uri }}</code></p>
{% endblock %}
""",
    "device.html": """\
{% extends "base.html" %}
{% block title %}Connect a device &ndash; Blnk Cloud sandbox{% endblock %}
{% block main %}
<h1>Connect a device to your Blnk Cloud workspace?</h1>
<p class="soft">This is a sandbox: nothing here is real.</p>
<form method="post">
<label for="user_code">Code that the device shows</label>
<input id="user_code" name="user_code" value="{{ user_code }}" required maxlength="20" autocomplete="off" autocapitalize="characters" spellcheck="false">
<label for="subject">Sign in as</label>
<input id="subject" name="subject" value="alice" required maxlength="200" autocomplete="username" autocapitalize="none" spellcheck="false">
<div class="buttons">
<button class="primary" name="decision" value="approve">Approve</button>
<button name="decision" value="deny">Deny</button>
</div>
</form>
{% endblock %}
""",
    "done.html": """\
{% extends "base.html" %}
{% block title %}Done &ndash; Blnk Cloud sandbox{% endblock %}
{% block main %}
<h1>{{ done }}</h1>
<p>You can close this page and go back to your device.</p>
{% endblock %}
""",
    "error.html": """\
{% extends "base.html" %}
{% block title %}Sign-in cannot continue &ndash; Blnk Cloud sandbox{% endblock %}
{% block main %}
<h1>Sign-in cannot continue</h1>
<p>{{ problem }}</p>
<p class="soft">You were not sent back to the application, because its request cannot be trusted.</p>
{% endblock %}
""",
}
