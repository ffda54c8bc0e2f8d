/* The forms of frcnn-eval's options. */
#include "eval/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int number(const char *text, size_t size, double low, double high, double *out, struct frcnn_error *err)
{
	int status = frcnn_parse_double(text, size, out);

	if (status < 0)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%.*s\" is not a number", (int)size, text);
	if (*out < low || *out > high)
		return frcnn_fail(err, FRCNN_EINVAL, "%g is outside %g to %g", *out, low, high);
	return 0;
}

/* Splits at separator; false when there are not exactly count pieces. */
static bool pieces(const char *text, size_t size, char separator, struct frcnn_span *out, int count)
{
	for (int i = 0; i < count; i++) {
		const char *end = memchr(text, separator, size);
		size_t length = end ? (size_t)(end - text) : size;

		if ((end != NULL) != (i + 1 < count))
			return false;
		out[i] = (struct frcnn_span){text, length};
		text += length + (end != NULL);
		size -= length + (end != NULL);
	}
	return true;
}

/* ---- --iou ----------------------------------------------------------------------------------------------------------
 */

static int iou_range(const struct frcnn_span *parts, struct eval_ious *ious, struct frcnn_error *err)
{
	double low, high, step, count, spacing;
	int status = number(parts[0].data, parts[0].size, 0, 1, &low, err);

	if (status == 0)
		status = number(parts[1].data, parts[1].size, 0, 1, &high, err);
	if (status == 0)
		status = number(parts[2].data, parts[2].size, 0, 1, &step, err);
	if (status < 0)
		return status;
	if (step <= 0 || high < low)
		return frcnn_fail(err, FRCNN_EINVAL, "the range must go up from %g to %g in steps above 0", low, high);
	count = rint((high - low) / step) + 1;
	if (fabs((high - low) / step - (count - 1)) > 1e-6)
		return frcnn_fail(err, FRCNN_EINVAL, "%g is no whole number of steps of %g from %g", high, step, low);
	if (count > FRCNN_EVAL_MAX_IOUS)
		return frcnn_fail(err, FRCNN_EINVAL, "%g thresholds, at most %d are possible", count,
				  FRCNN_EVAL_MAX_IOUS);
	ious->count = (int)count;
	spacing = ious->count > 1 ? (high - low) / (count - 1) : 0;
	for (int i = 0; i < ious->count; i++)
		ious->values[i] = i * spacing + low;
	if (ious->count > 1)
		ious->values[ious->count - 1] = high;
	return 0;
}

int eval_parse_ious(const char *text, void *value, struct frcnn_error *err)
{
	struct eval_ious *ious = value;
	struct frcnn_span parts[3];
	int status = 0;

	ious->count = 0;
	if (strchr(text, ':')) {
		if (!pieces(text, strlen(text), ':', parts, 3))
			return frcnn_fail(err, FRCNN_EINVAL, "\"%s\" is not of the form FIRST:LAST:STEP", text);
		status = iou_range(parts, ious, err);
	}
	while (status == 0 && !strchr(text, ':')) {
		size_t size = strcspn(text, ",");

		if (ious->count == FRCNN_EVAL_MAX_IOUS)
			return frcnn_fail(err, FRCNN_EINVAL, "more than %d thresholds", FRCNN_EVAL_MAX_IOUS);
		status = number(text, size, 0, 1, &ious->values[ious->count], err);
		ious->count++;
		if (text[size] == '\0')
			break;
		text += size + 1;
	}
	for (int i = 0; status == 0 && i < ious->count; i++) {
		if (ious->values[i] <= 0)
			return frcnn_fail(err, FRCNN_EINVAL, "a threshold must be above 0");
		if (i > 0 && ious->values[i] <= ious->values[i - 1])
			return frcnn_fail(err, FRCNN_EINVAL, "thresholds must ascend");
	}
	return status;
}

/* ---- --area ---------------------------------------------------------------------------------------------------------
 */

static int one_area(const char *text, size_t size, struct frcnn_eval_area *area, struct frcnn_error *err)
{
	struct frcnn_span sides[2], bounds[2];
	int status;

	if (!pieces(text, size, '=', sides, 2) || !pieces(sides[1].data, sides[1].size, ':', bounds, 2))
		return frcnn_fail(err, FRCNN_EINVAL, "\"%.*s\" is not of the form NAME=LOW:HIGH", (int)size, text);
	if (sides[0].size == 0 || sides[0].size >= sizeof area->name)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%.*s\": a name has 1 to %zu bytes", (int)size, text,
				  sizeof area->name - 1);
	for (size_t i = 0; i < sides[0].size; i++) {
		char c = sides[0].data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' &&
		    c != '_')
			return frcnn_fail(err, FRCNN_EINVAL, "\"%.*s\": names are of letters, digits, \"-\" and \"_\"",
					  (int)size, text);
	}
	status = number(bounds[0].data, bounds[0].size, 0, 1e300, &area->low, err);
	area->high = 1e10;
	if (status == 0 && bounds[1].size > 0)
		status = number(bounds[1].data, bounds[1].size, 0, 1e300, &area->high, err);
	if (status == 0 && area->high < area->low)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%.*s\": %g is below %g", (int)size, text, area->high,
				  area->low);
	memcpy(area->name, sides[0].data, sides[0].size);
	area->name[sides[0].size] = '\0';
	return status;
}

int eval_parse_areas(const char *text, void *value, struct frcnn_error *err)
{
	struct eval_areas *areas = value;

	areas->items[0] = (struct frcnn_eval_area){"all", 0, 1e10};
	areas->count = 1;
	for (;;) {
		size_t size = strcspn(text, ",");
		struct frcnn_eval_area area;
		int status = one_area(text, size, &area, err);

		if (status < 0)
			return status;
		for (int i = 0; i < areas->count; i++) {
			if (strcmp(area.name, areas->items[i].name) == 0)
				return frcnn_fail(err, FRCNN_EINVAL, "%s",
						  i == 0 ? "\"all\" is always there" : "two areas of one name");
		}
		if (areas->count == FRCNN_EVAL_MAX_AREAS)
			return frcnn_fail(err, FRCNN_EINVAL, "more than %d areas", FRCNN_EVAL_MAX_AREAS - 1);
		areas->items[areas->count++] = area;
		if (text[size] == '\0')
			return 0;
		text += size + 1;
	}
}

/* ---- --max-dets
 * ------------------------------------------------------------------------------------------------------- */

int eval_parse_max_dets(const char *text, void *value, struct frcnn_error *err)
{
	struct eval_max_dets *dets = value;

	dets->count = 0;
	for (;;) {
		size_t size = strcspn(text, ",");
		int64_t number;

		if (frcnn_parse_int64(text, size, &number) < 0)
			return frcnn_fail(err, FRCNN_EINVAL, "\"%.*s\" is not a whole number", (int)size, text);
		if (number < 1 || number > 1000000)
			return frcnn_fail(err, FRCNN_EINVAL, "%lld is outside 1 to 1000000", (long long)number);
		if (dets->count > 0 && number <= dets->values[dets->count - 1])
			return frcnn_fail(err, FRCNN_EINVAL, "numbers must ascend");
		if (dets->count == FRCNN_EVAL_MAX_DETS)
			return frcnn_fail(err, FRCNN_EINVAL, "more than %d numbers", FRCNN_EVAL_MAX_DETS);
		dets->values[dets->count++] = (int)number;
		if (text[size] == '\0')
			break;
		text += size + 1;
	}
	if (dets->count == 1) {
		int most = dets->values[0];

		dets->count = 0;
		for (int below = 1; below <= 10 && below < most; below *= 10)
			dets->values[dets->count++] = below;
		dets->values[dets->count++] = most;
	}
	return 0;
}

/* ---- gates
 * ---------------------------------------------------------------------------------------------------------------- */

static int add_gate(struct eval_gates *gates, const char *text, enum frcnn_gate_kind kind, struct frcnn_error *err)
{
	struct frcnn_gate gate;
	void *items = gates->items;
	int status = frcnn_gate_parse(text, kind, &gate, err);

	if (status < 0)
		return status;
	status = frcnn_grow(&items, &gates->capacity, gates->count + 1, sizeof *gates->items);
	gates->items = items;
	if (status < 0) {
		frcnn_gate_free(&gate);
		return frcnn_fail_nomem(err);
	}
	gates->items[gates->count++] = gate;
	return 0;
}

int eval_parse_min(const char *text, void *value, struct frcnn_error *err)
{
	return add_gate(value, text, FRCNN_GATE_MIN, err);
}

int eval_parse_max(const char *text, void *value, struct frcnn_error *err)
{
	return add_gate(value, text, FRCNN_GATE_MAX, err);
}

int eval_parse_max_drop(const char *text, void *value, struct frcnn_error *err)
{
	return add_gate(value, text, FRCNN_GATE_MAX_DROP, err);
}

void eval_gates_free(struct eval_gates *gates)
{
	for (size_t i = 0; i < gates->count; i++)
		frcnn_gate_free(&gates->items[i]);
	free(gates->items);
	memset(gates, 0, sizeof *gates);
}
