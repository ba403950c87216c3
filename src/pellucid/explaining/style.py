"""How explanations look in a browser: in light and in dark, on a phone and on paper.

Everything stands below the class "pellucid", so that a notebook around it keeps its looks. What a
notebook's own style says about links, code and tables is outweighed by naming the class more often.
"""

from __future__ import annotations

STYLE = """
.pellucid {
  --paper: #fdfdfb; --ink: #1d1f23; --soft: #5c6068; --line: #dcdcd6; --wash: #f4f3ee;
  --link: #1f4e8c; --forward: #1f5fa8; --loss: #7a3e9d; --rewrite: #6a6458; --backward: #a8431c;
  --update: #2b6e3f;
  color-scheme: light; color: var(--ink); background: var(--paper); box-sizing: border-box;
  font: 1rem/1.55 Charter, "Bitstream Charter", "Iowan Old Style", "Palatino Linotype",
    "Source Serif 4", Georgia, serif;
  max-width: 52rem; padding: 1rem; text-align: left;
}
@media (prefers-color-scheme: dark) {
  .pellucid {
    --paper: #16181c; --ink: #e6e4de; --soft: #a5a9b0; --line: #3a3d44; --wash: #1f2228;
    --link: #9cc3f5; --forward: #7fb4f0; --loss: #cf9eea; --rewrite: #bdb5a4; --backward: #f0a07c;
    --update: #86cf9c;
    color-scheme: dark;
  }
}
.pellucid *, .pellucid *::before { box-sizing: inherit; }
.pellucid :is(h1, h2, h3, h4, h5, p, ul, ol, table, caption, th, td, code, summary, header, nav) {
  color: inherit; background: none; border: 0; margin: 0; padding: 0; font: inherit;
  letter-spacing: normal; text-align: left;
}
.pellucid code {
  font: .88em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
.pellucid math {
  font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "Libertinus Math",
    "DejaVu Math TeX Gyre", "STIX Math", math, serif;
  font-size: 1.06em;
}
.pellucid math[display="block"] { width: max-content; margin: 0; }
.pellucid.pellucid.pellucid a { color: var(--link); }
.pellucid.pellucid.pellucid :is(code, tr) { color: inherit; background: none; padding: 0; }
.pellucid a { text-decoration: underline; text-underline-offset: .15em;
  text-decoration-thickness: .06em; }
.pellucid :is(a, summary, [tabindex]):focus-visible { outline: 2px solid var(--link);
  outline-offset: 2px; border-radius: 2px; }
.pellucid .title { font-size: 1.65rem; line-height: 1.2; font-weight: 600; }
.pellucid .remarks { margin: .6rem 0 0; padding: 0; list-style: none; color: var(--soft); }
.pellucid .contents { margin: 1rem 0 0; padding: .7rem 0; border: solid var(--line);
  border-width: 1px 0; }
.pellucid .contents ol { list-style: none; display: grid; gap: .15rem; }
.pellucid .contents li { margin: 0; padding-left: 1.6rem; }
.pellucid .contents .sign { margin-left: -1.6rem; width: 1.6rem; }
.pellucid .contents code { margin-left: .45em; overflow-wrap: anywhere; }
.pellucid .phase { --accent: var(--soft); margin-top: 2rem; }
.pellucid .forward { --accent: var(--forward); --rule: solid; }
.pellucid .loss { --accent: var(--loss); --rule: solid; }
.pellucid .rewrite { --accent: var(--rewrite); --rule: dotted; }
.pellucid .backward { --accent: var(--backward); --rule: dashed; }
.pellucid .update { --accent: var(--update); --rule: double; }
.pellucid .phase > .heading { font-size: 1.25rem; line-height: 1.3; font-weight: 600;
  color: var(--accent); padding-bottom: .3rem;
  border-bottom: 2px var(--rule, solid) var(--accent); }
.pellucid .update > .heading { border-bottom-width: 4px; }
.pellucid .sign { display: inline-block; width: 1.5em; color: var(--accent, inherit);
  font-family: "DejaVu Sans", system-ui, sans-serif; font-weight: 400; }
.pellucid .step { padding: .9rem 0 1rem 1.5rem; border-bottom: 1px solid var(--line); }
.pellucid .step:last-child { border-bottom: 0; }
.pellucid .step:target { background: var(--wash);
  box-shadow: -.5rem 0 var(--wash), .5rem 0 var(--wash); }
.pellucid .head { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline;
  justify-content: space-between; }
.pellucid .head .name { font-size: 1.05rem; font-weight: 600; min-width: 0; }
.pellucid .head .name code { font-weight: 600; overflow-wrap: anywhere; }
.pellucid.pellucid .head .name a { color: var(--accent); text-decoration: none; }
.pellucid .head .name a:hover { text-decoration: underline; }
.pellucid .shape, .pellucid .from, .pellucid .note { color: var(--soft); font-size: .9rem; }
.pellucid .says { max-width: 40rem; }
.pellucid .scroll { overflow-x: auto; margin: .55rem 0; padding: .1rem 0 .25rem; max-width: 100%; }
.pellucid.pellucid.pellucid .code code { display: block; overflow-wrap: anywhere;
  padding-left: 1.4em;
  text-indent: -1.4em; }
.pellucid .code code + code { margin-top: .25rem; }
.pellucid .note { padding-left: .7rem; border-left: 2px solid var(--line);
  margin: .4rem 0; }
.pellucid table { border-collapse: collapse; margin-top: .3rem; font-size: .95rem;
  background: none; display: table; }
.pellucid caption { color: var(--soft); font-size: .9rem; padding-bottom: .25rem;
  white-space: nowrap; }
.pellucid :is(th, td) { padding: .3rem 1.1rem .3rem 0; vertical-align: middle; }
.pellucid th { font-weight: 400; white-space: nowrap; }
.pellucid thead th { color: var(--soft); font-size: .9rem; }
.pellucid :is(tbody, tfoot) tr > * { border-top: 1px solid var(--line); }
.pellucid tfoot tr > * { border-top: 1px solid var(--ink); }
.pellucid td { min-width: 8rem; }
.pellucid details { margin: .45rem 0; }
.pellucid summary { cursor: pointer; color: var(--link); font-size: .92rem; width: max-content; }
@media (max-width: 34rem) {
  .pellucid { padding: .75rem; }
  .pellucid .step { padding-left: 0; }
  .pellucid .title { font-size: 1.35rem; }
}
@media print {
  .pellucid { --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --wash: #fff; --link: #000;
    --forward: #134a86; --loss: #5c2a7a; --rewrite: #4d483e; --backward: #83320f;
    --update: #1d5530; color-scheme: light; max-width: none; padding: 0; font-size: 10.5pt; }
  .pellucid .phase > .heading { break-after: avoid; }
  .pellucid .step { break-inside: avoid; }
  .pellucid .scroll { overflow: visible; }
  .pellucid details::details-content { content-visibility: visible; block-size: auto; }
  .pellucid a { text-decoration: none; }
}
"""
PAGE = """
html { scroll-padding-top: .5rem; }
body { margin: 0; background: #fdfdfb; }
body > .pellucid { margin: 0 auto; padding-top: 2rem; padding-bottom: 3rem; }
@media (prefers-color-scheme: dark) { body { background: #16181c; } }
@media print { body { background: #fff; } }
"""
