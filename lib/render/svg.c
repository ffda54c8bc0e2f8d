/* Charts as inline SVG: shapes carry classes, the page's style sheet gives them colours. */
#include "render/render.h"

#include <math.h>
#include <string.h>

/* A coordinate: one decimal, without a trailing ".0". */
static void put_coordinate(struct frcnn_buffer *out, double value)
{
	char text[32];

	if (!isfinite(value))
		value = 0;
	int length = snprintf(text, sizeof(text), "%.1f", fmax(-99999, fmin(99999, value)));
	if (length > 2 && strcmp(text + length - 2, ".0") == 0)
		length -= 2;
	if (length == 2 && memcmp(text, "-0", 2) == 0)
		frcnn_buffer_putc(out, '0');
	else
		frcnn_buffer_add(out, text, (size_t)length);
}

static void put_attribute(struct frcnn_buffer *out, const char *name, double value)
{
	frcnn_buffer_printf(out, " %s=\"", name);
	put_coordinate(out, value);
	frcnn_buffer_putc(out, '"');
}

static double x_of(const struct frcnn_chart *c, double x)
{
	return c->left + (x - c->x_low) / (c->x_high - c->x_low) * (c->width - c->left - c->right);
}

static double y_of(const struct frcnn_chart *c, double y)
{
	return c->height - c->bottom - (y - c->y_low) / (c->y_high - c->y_low) * (c->height - c->top - c->bottom);
}

static double within(double value, double low, double high)
{
	return value < low ? low : value > high ? high : value;
}

void frcnn_chart_begin(const struct frcnn_chart *chart, const char *label)
{
	frcnn_buffer_puts(chart->out, "<svg role=\"img\" viewBox=\"0 0 ");
	put_coordinate(chart->out, chart->width);
	frcnn_buffer_putc(chart->out, ' ');
	put_coordinate(chart->out, chart->height);
	frcnn_buffer_puts(chart->out, "\"");
	if (chart->style != NULL)
		frcnn_buffer_printf(chart->out, " class=\"%s\"", chart->style);
	frcnn_buffer_puts(chart->out, " aria-label=\"");
	frcnn_page_text(chart->out, label, 0);
	frcnn_buffer_puts(chart->out, "\">");
}

void frcnn_chart_end(const struct frcnn_chart *chart)
{
	frcnn_buffer_puts(chart->out, "</svg>\n");
}

static void put_line(const struct frcnn_chart *c, double x1, double y1, double x2, double y2, const char *style)
{
	frcnn_buffer_printf(c->out, "<line class=\"%s\"", style);
	put_attribute(c->out, "x1", x1);
	put_attribute(c->out, "y1", y1);
	put_attribute(c->out, "x2", x2);
	put_attribute(c->out, "y2", y2);
	frcnn_buffer_puts(c->out, "/>");
}

static void put_text(const struct frcnn_chart *c, double x, double y, const char *anchor, const char *style,
		     const char *text)
{
	frcnn_buffer_puts(c->out, "<text");
	put_attribute(c->out, "x", x);
	put_attribute(c->out, "y", y);
	if (strcmp(anchor, "start") != 0)
		frcnn_buffer_printf(c->out, " text-anchor=\"%s\"", anchor);
	if (style != NULL)
		frcnn_buffer_printf(c->out, " class=\"%s\"", style);
	frcnn_buffer_putc(c->out, '>');
	frcnn_page_text(c->out, text, 0);
	frcnn_buffer_puts(c->out, "</text>");
}

/* The number at a step of an axis, with as many decimals as the steps need. */
static void put_step(const struct frcnn_chart *c, double low, double high, int step, int steps, double x, double y,
		     const char *anchor)
{
	double value = low + (high - low) * step / steps, width = fabs(high - low) / steps;
	int decimals = width >= 1 && fmod(width, 1) == 0 ? 0 : width >= 0.1 ? 1 : width >= 0.01 ? 2 : 3;
	char text[32];

	snprintf(text, sizeof(text), "%.*f", decimals, value);
	put_text(c, x, y, anchor, NULL, text);
}

void frcnn_chart_axes(const struct frcnn_chart *c, int x_steps, int y_steps, const char *x_label, const char *y_label)
{
	double left = c->left, right = c->width - c->right, top = c->top, bottom = c->height - c->bottom;

	for (int i = 0; i <= y_steps && y_steps > 0; i++) {
		double y = bottom + (top - bottom) * i / y_steps;
		put_line(c, left, y, right, y, i == 0 ? "axis" : "grid");
		put_step(c, c->y_low, c->y_high, i, y_steps, left - 6, y + 4, "end");
	}
	for (int i = 0; i <= x_steps && x_steps > 0; i++) {
		double x = left + (right - left) * i / x_steps;
		put_line(c, x, top, x, bottom, i == 0 ? "axis" : "grid");
		put_step(c, c->x_low, c->x_high, i, x_steps, x, bottom + 16, "middle");
	}
	if (x_label != NULL)
		put_text(c, (left + right) / 2, c->height - 4, "middle", "label", x_label);
	if (y_label != NULL) {
		frcnn_buffer_puts(c->out, "<g transform=\"translate(11 ");
		put_coordinate(c->out, (top + bottom) / 2);
		frcnn_buffer_puts(c->out, ") rotate(-90)\">");
		put_text(c, 0, 0, "middle", "label", y_label);
		frcnn_buffer_puts(c->out, "</g>");
	}
}

void frcnn_chart_line(const struct frcnn_chart *c, const double *x, const double *y, size_t count, const char *style)
{
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		if (!isfinite(x[i]) || !isfinite(y[i]))
			continue;
		/* inside a stretch that goes straight on */
		if (any && i + 1 < count &&
		    ((y[i - 1] == y[i] && y[i + 1] == y[i]) || (x[i - 1] == x[i] && x[i + 1] == x[i])))
			continue;
		if (!any)
			frcnn_buffer_printf(c->out, "<polyline class=\"line %s\" points=\"", style);
		else
			frcnn_buffer_putc(c->out, ' ');
		any = true;
		put_coordinate(c->out, within(x_of(c, x[i]), c->left, c->width - c->right));
		frcnn_buffer_putc(c->out, ',');
		put_coordinate(c->out, within(y_of(c, y[i]), c->top, c->height - c->bottom));
	}
	if (any)
		frcnn_buffer_puts(c->out, "\"/>");
}

void frcnn_chart_box(const struct frcnn_chart *c, double x0, double y0, double x1, double y1, const char *style,
		     const char *text)
{
	double left = within(x_of(c, fmin(x0, x1)), c->left, c->width - c->right);
	double right = within(x_of(c, fmax(x0, x1)), c->left, c->width - c->right);
	double a = within(y_of(c, y0), c->top, c->height - c->bottom);
	double b = within(y_of(c, y1), c->top, c->height - c->bottom);

	frcnn_buffer_printf(c->out, "<rect class=\"%s\"", style);
	put_attribute(c->out, "x", left);
	put_attribute(c->out, "y", fmin(a, b));
	put_attribute(c->out, "width", right - left);
	put_attribute(c->out, "height", fabs(a - b));
	if (text == NULL) {
		frcnn_buffer_puts(c->out, "/>");
		return;
	}
	frcnn_buffer_puts(c->out, "><title>");
	frcnn_page_text(c->out, text, 0);
	frcnn_buffer_puts(c->out, "</title></rect>");
}

void frcnn_chart_rule(const struct frcnn_chart *c, double x0, double y0, double x1, double y1, const char *style)
{
	put_line(c, x_of(c, x0), y_of(c, y0), x_of(c, x1), y_of(c, y1), style);
}

void frcnn_chart_dot(const struct frcnn_chart *c, double x, double y, const char *style)
{
	frcnn_buffer_printf(c->out, "<circle class=\"dot %s\" r=\"4\"", style);
	put_attribute(c->out, "cx", x_of(c, x));
	put_attribute(c->out, "cy", y_of(c, y));
	frcnn_buffer_puts(c->out, "/>");
}

void frcnn_chart_text(const struct frcnn_chart *c, double x, double y, double dx, double dy, const char *anchor,
		      const char *style, const char *text)
{
	put_text(c, x_of(c, x) + dx, y_of(c, y) + dy, anchor, style, text);
}
