"""The HTML and CSS of the pages that end a sign-in.

Used by `page`. Python text and not package data, so that tools which bundle a program (PyInstaller, Nuitka, zipapp)
include it without a setting. `HTML` is a `string.Template`, and never escapes anything: the values
for it must be escaped already.
"""

HTML = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$style</style>
</head>
<body>
<main class="$page">
<svg viewBox="0 0 48 48" aria-hidden="true" focusable="false"><circle cx="24" cy="24" r="22"/><path d="$mark"/></svg>
<div role="status">
<h1>$title</h1>
<p>$what</p>
$problem
</div>
<p class="next">$next</p>
</main>
</body>
</html>
"""

CSS = """
:root {
  color-scheme: light dark;
  --ink: #1a1f2b; --soft: #566072; --paper: #fff; --ground: #f2f4f8; --line: #d5dae3;
  --good: #15803d; --calm: #566072; --bad: #b91c1c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #eef1f6; --soft: #aab4c4; --paper: #1b212d; --ground: #11151d; --line: #39424f;
    --good: #4ade80; --calm: #aab4c4; --bad: #fca5a5;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; min-height: 100dvh; display: grid; place-items: center; padding: 1rem;
  background: var(--ground); color: var(--ink);
  font: 1.0625rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main {
  width: 100%; max-width: 30rem; padding: 2.5rem 2rem; text-align: center;
  background: var(--paper); border: 1px solid var(--line); border-radius: 1rem;
}
svg {
  width: 3.5rem; height: 3.5rem; margin-bottom: 1rem; fill: none; stroke: var(--bad);
  stroke-width: 3; stroke-linecap: round; stroke-linejoin: round;
}
.success svg { stroke: var(--good); }
.denied svg { stroke: var(--calm); }
h1 { margin: 0 0 .5rem; font-size: 1.5rem; line-height: 1.25; text-wrap: balance; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; text-wrap: balance; }
.problem {
  padding: .75rem 1rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--ground);
  text-align: left; text-wrap: wrap; font-size: .9375rem;
}
.next { margin: 0; color: var(--soft); }
@media (max-width: 30rem) { main { padding: 2rem 1.25rem; } }
@media (forced-colors: active) { svg, .success svg, .denied svg { stroke: CanvasText; } }
"""
