/*
 * render - how an evaluation report looks: pycocotools' summary text, JSON, CSV,
 * Markdown, JUnit, the page of --report, and the pieces that pages of other
 * programs are made of (escaping, style sheet, charts). Numbers come from
 * eval/report.h and are not made here, but for what only a drawing needs (a mean
 * curve); nothing here reads files or prints.
 *
 * The same report gives the same bytes, always. Names of classes, models and
 * files are hostile text: each format escapes them.
 */
#ifndef FRCNN_RENDER_H
#define FRCNN_RENDER_H

#include "eval/report.h"

/* The renderings themselves are declared in eval/report.h beside the struct that they render. */

/* ---- pieces of a page (page.c) -----------------------------------------------------------------------------------
 *
 * A page is well-formed XML as well as HTML, needs no script and no other file, and follows prefers-color-scheme; on
 * paper it is light. Additions go to a frcnn_buffer, which keeps a refused allocation until it is asked at the end.
 */

/* Everything up to <main>, the style sheet included. title is escaped. */
void frcnn_page_begin(struct frcnn_buffer *out, const char *title);
void frcnn_page_end(struct frcnn_buffer *out);
/* Text, escaped for elements and for attributes in double quotes. Control characters and bytes that are not UTF-8 are
 * shown as \xNN. limit > 0: at most that many characters, the last of them an ellipsis when some are left out. */
void frcnn_page_text(struct frcnn_buffer *out, const char *text, size_t limit);
/* Thousands apart: 36 781, by a space that does not break. */
void frcnn_page_count(struct frcnn_buffer *out, size_t count);
/* A bar of 0 .. 1 of the width that its place gives it, decorative (the number stands beside it). style: "f1" .. "f6",
 * the colours of the series. */
void frcnn_page_bar(struct frcnn_buffer *out, double share, const char *style);

/* ---- charts (svg.c) ------------------------------------------------------------------------------------------------
 */

/* A drawing with two linear axes. Set everything, then begin, draw, end. Units are CSS pixels at full size. */
struct frcnn_chart {
	struct frcnn_buffer *out;
	double width, height;
	double left, top, right, bottom; /* margins around the plot */
	double x_low, x_high, y_low, y_high;
	const char *style; /* class of the <svg>; NULL: none */
};
/* label says what the chart shows to those who cannot see it. */
void frcnn_chart_begin(const struct frcnn_chart *chart, const char *label);
void frcnn_chart_end(const struct frcnn_chart *chart);
/* Grid, numbers at x_steps + 1 and y_steps + 1 places (0: none), and what the axes mean (NULL: nothing). */
void frcnn_chart_axes(const struct frcnn_chart *chart, int x_steps, int y_steps, const char *x_label,
		      const char *y_label);
/* A line through points, clipped to the plot; points that are not finite are left out, those on a straight horizontal
 * or vertical stretch too. style: "s1" .. "s6", colour and dashes of a series. */
void frcnn_chart_line(const struct frcnn_chart *chart, const double *x, const double *y, size_t count,
		      const char *style);
/* A box from (x0, y0) to (x1, y1), clipped; text (NULL: none) is its tooltip. */
void frcnn_chart_box(const struct frcnn_chart *chart, double x0, double y0, double x1, double y1, const char *style,
		     const char *text);
void frcnn_chart_rule(const struct frcnn_chart *chart, double x0, double y0, double x1, double y1, const char *style);
void frcnn_chart_dot(const struct frcnn_chart *chart, double x, double y, const char *style);
/* Text at a point of the plot, moved by dx, dy pixels; anchor: "start", "middle", "end". */
void frcnn_chart_text(const struct frcnn_chart *chart, double x, double y, double dx, double dy, const char *anchor,
		      const char *style, const char *text);

/* ---- tables (table.c), of other folders' reports too --------------------------------------------------------------
 */

/* Cells of text, row by row, the first row being the heading. Zero-initialise; set columns. */
struct frcnn_table {
	size_t columns;
	struct frcnn_buffer title, cells; /* cells: raw text, each ended by a NUL */
	size_t count;                     /* cells */
};
void frcnn_table_put(struct frcnn_table *table, const char *text);
void frcnn_table_printf(struct frcnn_table *table, const char *format, ...) FRCNN_PRINTF(2, 3);
void frcnn_table_value(struct frcnn_table *table, double value); /* three decimals; "-" when undefined (-1) */
void frcnn_table_clear(struct frcnn_table *table);               /* memory and columns kept */
void frcnn_table_free(struct frcnn_table *table);
/* Aligned columns, the first to the left, the others to the right. */
void frcnn_table_text(const struct frcnn_table *table, struct frcnn_buffer *out);
void frcnn_table_markdown(const struct frcnn_table *table, struct frcnn_buffer *out);
/* Text with Markdown's signs and HTML's taken for what they are. */
void frcnn_markdown_text(struct frcnn_buffer *out, const char *text);

/* ---- gates of other programs' reports --------------------------------------------------------------------------- */

/* Section "gates" of a page; nothing where there are none (html.c). */
void frcnn_page_gates(struct frcnn_buffer *out, const struct frcnn_report *report);
/* Tables of the model's differences, metrics, then AP of classes, with their intervals drawn (html.c). ours, baseline:
 * heads of columns, HTML. */
void frcnn_page_changes(struct frcnn_buffer *out, const struct frcnn_report *report,
			const struct frcnn_report_model *model, const char *ours, const char *baseline);
/* False: there are none. */
bool frcnn_section_gates(const struct frcnn_report *report, struct frcnn_table *table);
const char *frcnn_render_verdict(enum frcnn_gate_verdict verdict);
/* Text for JSON and CSV: valid UTF-8 as it is, other bytes as \xNN. */
void frcnn_render_utf8(struct frcnn_buffer *out, const char *text);

/* ---- private to this folder
 * ------------------------------------------------------------------------------------------ */

/* The parts of a report that text and Markdown show as tables (sections.c). */
enum frcnn_section {
	FRCNN_SECTION_METRICS, /* Markdown alone; text has pycocotools' summary */
	FRCNN_SECTION_CLASSES,
	FRCNN_SECTION_THRESHOLDS,
	FRCNN_SECTION_VOC,
	FRCNN_SECTION_TIDE,
	FRCNN_SECTION_CONFUSION,
	FRCNN_SECTION_CALIBRATION,
	FRCNN_SECTION_BASELINE,
	FRCNN_SECTION_COUNT
};
/* False: the report has no such part, or it was not asked for. */
bool frcnn_section_fill(const struct frcnn_report *report, const struct frcnn_report_model *model,
			enum frcnn_section section, struct frcnn_table *table);
/* Models beside each other, a row each. False as above. */
bool frcnn_section_models(const struct frcnn_report *report, struct frcnn_table *table);

/* What to call things. scratch holds the text where one must be made. */
#define FRCNN_RENDER_NAME 64
const char *frcnn_render_model(const struct frcnn_report_model *model); /* its own name, else the file's */
const char *frcnn_render_class(const struct frcnn_report_class *class_, char scratch[FRCNN_RENDER_NAME]);
const char *frcnn_render_category(const struct frcnn_report *report, size_t category, char scratch[FRCNN_RENDER_NAME]);
/* "AP >= 0.37", "drop of AP <= 0.005" */
void frcnn_render_gate(const struct frcnn_gate *gate, struct frcnn_buffer *out);
/* A metric's value, -1 when there is no such metric. */
double frcnn_render_metric(const struct frcnn_report_metrics *metrics, const char *name);
/* False for a metric that comes from a part that only the page shows. */
bool frcnn_render_shows(const struct frcnn_report *report, const char *metric);
/* AP or AR of an area after the first, under whichever name the report has it. */
double frcnn_render_area(const struct frcnn_report_metrics *metrics, const char *what, const char *area);
/* The options are pycocotools' defaults, or its rules were asked for: the 12 numbers are what they are called. */
bool frcnn_render_is_default(const struct frcnn_report *report);

/* The cell of precision and scores at threshold t, recall r, class k; the first area, the last of max_dets. */
size_t frcnn_render_cell(const struct frcnn_eval_cells *cells, int t, int r, int k);

/* One entry of the confusion matrix that is not zero and not on its diagonal. */
struct frcnn_confused {
	size_t truth, prediction; /* report->nconfusion: background */
	size_t count;
};
/* The most frequent ones, at most limit, descending; returns how many. */
size_t frcnn_render_confused(const struct frcnn_report *report, const struct frcnn_report_model *model,
			     struct frcnn_confused *out, size_t limit);

/* One format each; dispatch is frcnn_report_render's (render.c). */
int frcnn_render_text(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err);
int frcnn_render_json(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err);
int frcnn_render_csv(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err);
int frcnn_render_markdown(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err);
int frcnn_render_junit(const struct frcnn_report *report, struct frcnn_buffer *out, struct frcnn_error *err);
/* A field of CSV: quoted where RFC 4180 asks for it. */
void frcnn_csv_field(struct frcnn_buffer *out, const char *text);

#endif
