/* What every page has: head, style sheet, escaped text. No script, no font, nothing from elsewhere. */
#include "render/render.h"

#include <math.h>
#include <string.h>

/*
 * Colours: blue and orange carry what is compared or right and wrong; they stay apart for all kinds of colour
 * blindness, and in gray. Series differ by dashes too. Text has a contrast of at least 4.5 in both modes.
 */
static const char style[] =
    ":root{color-scheme:light dark;"
    "--paper:#fff;--panel:#f6f7f9;--ink:#1b1f24;--soft:#57606a;--rule:#d8dde3;--grid:#e8ebef;--track:#e9ecf0;"
    "--c1:#1f6cb0;--c2:#c4560a;--c3:#157f6b;--c4:#7d4bab;--c5:#6a737d;--c6:#8f6b00;--on:#fff;--good:#1f6cb0;"
    "--bad:#b3480a}\n"
    "@media screen and (prefers-color-scheme:dark){:root{"
    "--paper:#13161a;--panel:#1b1f25;--ink:#e7eaee;--soft:#9ba6b2;--rule:#343b44;--grid:#262c33;--track:#2a3038;"
    "--c1:#62aaf0;--c2:#f0994a;--c3:#45c4a4;--c4:#c195ee;--c5:#9aa4af;--c6:#d9b73e;--on:#10141a;--good:#7ab8f5;"
    "--bad:#f5a766}}\n"
    "*{box-sizing:border-box}"
    "html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-behavior:smooth}"
    "body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 system-ui,-apple-system,\"Segoe UI\","
    "Roboto,\"Helvetica Neue\",\"Noto Sans\",\"Liberation Sans\",Arial,sans-serif;font-variant-numeric:tabular-nums}\n"
    "main{max-width:70rem;margin:0 auto;padding:2.5rem 1.5rem 4rem}"
    "h1{font-size:1.9rem;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:.15rem 0 .4rem;"
    "overflow-wrap:anywhere}"
    "h2{font-size:1.2rem;line-height:1.3;font-weight:650;letter-spacing:-.005em;margin:0 0 .3rem}"
    "h3{font-size:.95rem;font-weight:600;margin:1.6rem 0 .3rem}.two h3{margin-top:0}"
    "section{margin-top:2.4rem;padding-top:1.5rem;border-top:1px solid var(--rule)}"
    ".model{margin-top:4rem;font-size:1.5rem;overflow-wrap:anywhere}"
    ".kind,.key,.card dt,th{color:var(--soft)}"
    ".kind{font-size:.75rem;font-weight:600;letter-spacing:.09em;text-transform:uppercase;margin:0}"
    ".sub,.note{color:var(--soft);margin:0 0 1rem;max-width:46rem;overflow-wrap:anywhere}"
    ".sub{margin:0}"
    "nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:1.2rem 0 0;padding:0;font-size:.875rem}"
    "a{color:var(--c1);text-decoration-thickness:1px;text-underline-offset:.2em}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.8rem;margin:1rem 0 1.4rem}"
    ".card{margin:0;background:var(--panel);border-radius:.5rem;padding:.85rem 1rem .9rem}"
    ".card dt{font-size:.8rem;font-weight:600}"
    ".card dd{margin:0}.card .big{font-size:2.1rem;line-height:1.2;font-weight:600;letter-spacing:-.02em}"
    ".card .small{font-size:.78rem;color:var(--soft)}\n"
    ".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.2rem 2.5rem;"
    "align-items:start}"
    ".scroll{overflow-x:auto}"
    "table{border-collapse:collapse;width:100%;font-size:.875rem;line-height:1.4}"
    "caption{text-align:left;color:var(--soft);font-size:.8rem;padding:0 0 .4rem}"
    "th{font-weight:600;font-size:.78rem;text-align:right;vertical-align:bottom;padding:.3rem .55rem;"
    "border-bottom:1px solid var(--rule)}"
    "td{text-align:right;padding:.28rem .55rem;border-bottom:1px solid var(--grid);white-space:nowrap}"
    "tbody th{color:var(--ink);font-weight:400;font-size:inherit;border-bottom-color:var(--grid);"
    "vertical-align:baseline;padding:.28rem .55rem;overflow-wrap:anywhere;min-width:6.5rem;max-width:18rem}"
    "th:first-child,td:first-child,th.l,td.l{text-align:left}"
    "th:first-child,td:first-child{padding-left:0}th:last-child,td:last-child{padding-right:0}"
    "td.l{white-space:normal;min-width:11rem}"
    "tbody tr:hover>*{background:var(--panel)}"
    "tr.all>*{font-weight:600;border-bottom-color:var(--rule)}"
    "td.b{width:26%;min-width:4.5rem}.na{color:var(--soft)}"
    "td.b svg{display:block;width:100%;height:.6rem}"
    "td.plot{width:36%;min-width:11rem;padding-top:0;padding-bottom:0}th.plot{text-align:center}"
    ".up{color:var(--good);font-weight:600}.down{color:var(--bad);font-weight:600}\n"
    "svg{display:block;width:100%;height:auto;font-family:inherit;overflow:visible}"
    "svg text{font-size:12px;fill:var(--soft)}svg text.label{font-size:12.5px}"
    "svg text.mark{fill:var(--ink);font-weight:600}"
    ".chart{max-width:34rem}.axis{stroke:var(--soft)}.grid{stroke:var(--grid)}"
    ".even{stroke:var(--soft);stroke-dasharray:3 4}.zero{stroke:var(--soft)}"
    ".line{fill:none;stroke-width:2.2;stroke-linejoin:round}"
    ".s1{stroke:var(--c1)}.s2{stroke:var(--c2);stroke-dasharray:7 4}.s3{stroke:var(--c3);stroke-dasharray:2 3.5}"
    ".s4{stroke:var(--c4);stroke-dasharray:11 4 2 4}.s5{stroke:var(--c5);stroke-dasharray:5 2}"
    ".s6{stroke:var(--c6);stroke-dasharray:1 4}"
    ".f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}"
    ".f6{fill:var(--c6)}.ft{fill:var(--track)}"
    ".over{fill:var(--c2);fill-opacity:.16;stroke:var(--c2);stroke-width:1.2;stroke-dasharray:3 2}"
    ".dot{stroke:none}.dot.s1{fill:var(--c1)}.dot.s2{fill:var(--c2)}.dot.s5{fill:var(--c5)}"
    ".whisker{stroke-width:1.6;stroke-dasharray:none}\n"
    "figure{margin:0}figcaption{font-size:.8rem;color:var(--soft)}"
    ".key{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:.4rem 0 0;padding:0;font-size:.8rem}"
    ".key li{display:flex;align-items:center;gap:.45rem;overflow-wrap:anywhere}"
    ".key svg{width:28px;height:12px;flex:none}"
    ".many{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.2rem,1fr));gap:1rem 1.1rem;margin-top:1.2rem}"
    ".few{grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr))}"
    ".many figcaption{display:flex;justify-content:space-between;gap:.5rem;margin-bottom:.2rem;font-size:.76rem}"
    ".many figcaption span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;color:var(--ink)}"
    ".many .line{stroke-width:1.8;vector-effect:non-scaling-stroke}.many line,.many "
    "rect{vector-effect:non-scaling-stroke}.frame{fill:none;stroke:var(--grid)}\n"
    ".matrix text{font-size:12px}.matrix text.in{fill:var(--ink)}.matrix text.hi{fill:var(--on)}"
    ".matrix.dense text{font-size:8px}"
    "dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1.2rem;margin:.6rem 0 0;font-size:.875rem}"
    "dl.facts dt{color:var(--soft)}dl.facts dd{margin:0;overflow-wrap:anywhere}"
    "code{font:.92em ui-monospace,SFMono-Regular,Menlo,Consolas,\"Liberation Mono\",monospace}"
    ".notes{font-size:.85rem;padding-left:1.1rem;overflow-wrap:anywhere}"
    ".alert{border-left:3px solid var(--c2);background:var(--panel);padding:.6rem .9rem;margin:1.2rem 0 0;"
    "border-radius:0 .4rem .4rem 0}"
    "footer{margin-top:3rem;color:var(--soft);font-size:.8rem}\n"
    "@media (max-width:36rem){main{padding:1.4rem 1rem 3rem}h1{font-size:1.5rem}"
    "dl.facts{grid-template-columns:1fr;gap:0}dl.facts dd{margin-bottom:.5rem}.card .big{font-size:1.7rem}"
    ".cards{grid-template-columns:1fr 1fr}}\n"
    "@media print{@page{margin:14mm}body{font-size:9.5pt}main{max-width:none;padding:0}nav{display:none}"
    "section{margin-top:1.4rem;padding-top:1rem}h2,h3,.note{break-after:avoid}"
    "figure,tr,.card,.key,.note,dl.facts,.alert{break-inside:avoid}.scroll{overflow:visible}thead{display:table-header-"
    "group}"
    ".chart{max-width:26rem}.many{grid-template-columns:repeat(6,1fr)}.few{grid-template-columns:repeat(3,1fr)}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

void frcnn_page_begin(struct frcnn_buffer *out, const char *title)
{
	frcnn_buffer_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
			       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>"
			       "<meta name=\"generator\" content=\"frcnn " FRCNN_VERSION "\"/>\n<title>");
	frcnn_page_text(out, title, 0);
	frcnn_buffer_puts(out, "</title>\n<style>");
	frcnn_buffer_puts(out, style);
	frcnn_buffer_puts(out, "</style></head>\n<body><main>\n");
}

void frcnn_page_end(struct frcnn_buffer *out)
{
	frcnn_buffer_puts(out, "<footer>frcnn " FRCNN_VERSION "</footer>\n</main></body></html>\n");
}

/* The two code points below U+10000 that XML forbids though they are well-formed UTF-8. */
static bool is_forbidden(const char *piece, size_t length)
{
	return length == 3 && memcmp(piece, "\xEF\xBF", 2) == 0 && (piece[2] == '\xBE' || piece[2] == '\xBF');
}

static void put_character(struct frcnn_buffer *out, char c)
{
	switch (c) {
	case '&':
		frcnn_buffer_puts(out, "&amp;");
		break;
	case '<':
		frcnn_buffer_puts(out, "&lt;");
		break;
	case '>':
		frcnn_buffer_puts(out, "&gt;");
		break;
	case '"':
		frcnn_buffer_puts(out, "&quot;");
		break;
	case '\'':
		frcnn_buffer_puts(out, "&#39;");
		break;
	default:
		frcnn_buffer_putc(out, c);
	}
}

void frcnn_page_text(struct frcnn_buffer *out, const char *text, size_t limit)
{
	size_t size = strlen(text), characters = 0;

	for (size_t i = 0; i < size;) {
		char piece[FRCNN_PRINTABLE_MAX];
		size_t length, taken = frcnn_printable_one(text + i, size - i, piece, &length);
		if (limit > 0 && ++characters == limit && i + taken < size) {
			frcnn_buffer_puts(out, "\xE2\x80\xA6");
			return;
		}
		i += taken;
		if (is_forbidden(piece, length)) {
			frcnn_buffer_puts(out, "\xEF\xBF\xBD");
			continue;
		}
		for (size_t k = 0; k < length; k++)
			put_character(out, piece[k]);
	}
}

void frcnn_page_count(struct frcnn_buffer *out, size_t count)
{
	char digits[32];
	int length = snprintf(digits, sizeof(digits), "%zu", count);

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0 && length > 4)
			frcnn_buffer_puts(out, "\xE2\x80\xAF");
		frcnn_buffer_putc(out, digits[i]);
	}
}

void frcnn_page_bar(struct frcnn_buffer *out, double share, const char *style)
{
	double width = !(share > 0) ? 0 : share > 1 ? 100 : round(share * 1000) / 10;

	frcnn_buffer_printf(out,
			    "<svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
			    "<rect class=\"ft\" width=\"100\" height=\"10\"/>"
			    "<rect class=\"%s\" width=\"%g\" height=\"10\"/></svg>",
			    style, width);
}
