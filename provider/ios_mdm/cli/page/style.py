"""Style sheet of the page: light and dark, for narrow screens, and for print."""

from __future__ import annotations

from typing import Final

__all__ = ["STYLE"]

STYLE: Final = """
:root{--ink:#1d2733;--soft:#566372;--rule:#d9e0e7;--back:#f4f6f8;--card:#fff;--main:#1b5499;--reserve:#08704f;
--ok:#08704f;--warn:#8a5200;--bad:#b3201a;--unknown:#6b3fa0}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf0;--soft:#a3b0bd;--rule:#38444f;--back:#12171c;--card:#1b2229;
--main:#7fb2f0;--reserve:#5fd0a5;--ok:#5fd0a5;--warn:#f0b357;--bad:#ff8a80;--unknown:#c7a6f5}}
*{box-sizing:border-box}
body{margin:0;padding:1rem;background:var(--back);color:var(--ink);line-height:1.5;overflow-wrap:anywhere;
font-family:system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
main{max-width:60rem;margin:0 auto}
h1{font-size:1.4rem;margin:.5rem 0}
h2{font-size:1.2rem;margin:0}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.25rem 0}
.soft{color:var(--soft)}
section{background:var(--card);border:1px solid var(--rule);border-radius:.5rem;padding:1rem;margin:1rem 0}
.badge{display:inline-block;font-weight:700;border:2px solid;border-radius:.4rem;padding:.1rem .6rem;margin:.5rem 0}
.ready,.ok,.proved{color:var(--ok)}.warning,.silent,.not-now,.at-risk{color:var(--warn)}
.not-ready,.critical,.failed,.erased{color:var(--bad)}.unknown{color:var(--unknown)}
ul,ol{padding-left:0;margin:.5rem 0;list-style:none}
li{padding:.25rem 0;border-bottom:1px solid var(--rule)}
li b:first-child{margin-right:.5rem}
svg{display:block;width:100%;height:3.5rem}
.bar-main{fill:var(--main)}.bar-reserve{fill:var(--reserve)}.text-main{color:var(--main)}.text-reserve{color:var(--reserve)}.axis{stroke:var(--rule)}

.now{stroke:var(--ink);stroke-dasharray:4 3}.apply{stroke:var(--bad)}.now,.apply,.axis{vector-effect:non-scaling-stroke;
stroke-width:2}
.counts{display:flex;flex-wrap:wrap;gap:.5rem}
.counts li{border:1px solid var(--rule);border-radius:.4rem;padding:.25rem .75rem;min-width:6rem}
.counts b{display:block;font-size:1.25rem;margin:0}
table{width:100%;border-collapse:collapse;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .5rem .3rem 0;border-bottom:1px solid var(--rule)}
th{color:var(--soft);font-weight:600}
pre{white-space:pre-wrap;word-break:break-all;font-size:.75rem;border:1px solid var(--rule);border-radius:.4rem;
padding:.5rem;margin:.5rem 0}
@media (max-width:40rem){body{padding:.5rem}section{padding:.75rem}thead{display:none}
tr,td{display:block}tr{border-bottom:1px solid var(--rule);padding:.4rem 0}td{border:0;padding:.1rem 0}
td:empty{display:none}td[data-label]::before{content:attr(data-label) ": ";color:var(--soft)}}
@media print{:root{--ink:#000;--soft:#333;--rule:#999;--back:#fff;--card:#fff;--main:#1b5499;--reserve:#08704f;
--ok:#045238;--warn:#6b3f00;--bad:#8f130c;--unknown:#4d2a78}body{padding:0;font-size:10pt}
section{border:0;padding:0;margin:0 0 1rem}h2,h3{break-after:avoid}tr,li,pre{break-inside:avoid}
svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
