/* Gates: is a metric high enough, did it fall too far? */
#include "eval/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int frcnn_gate_parse(const char *text, enum frcnn_gate_kind kind, struct frcnn_gate *out, struct frcnn_error *err)
{
	const char *equals = strrchr(text, '=');
	const char *what = kind == FRCNN_GATE_MAX_DROP ? "METRIC=V" : "METRIC=V or CLASS:METRIC=V";

	*out = (struct frcnn_gate){.kind = kind};
	if (!equals || equals == text)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%s\" is not of the form %s", text, what);
	if (frcnn_parse_double(equals + 1, strlen(equals + 1), &out->bound) < 0)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%s\": \"%s\" is not a number", text, equals + 1);
	if (kind == FRCNN_GATE_MAX_DROP && out->bound < 0)
		return frcnn_fail(err, FRCNN_EINVAL, "\"%s\": a drop is 0 or more", text);
	out->metric = frcnn_strndup(text, (size_t)(equals - text));
	return out->metric ? 0 : frcnn_fail_nomem(err);
}

void frcnn_gate_free(struct frcnn_gate *gate)
{
	if (gate)
		free(gate->metric);
}

/* ---- finding the metric --------------------------------------------------------------------------------------------
 */

static bool is_class(const struct frcnn_report_class *class, const char *name, size_t size)
{
	int64_t id;

	if (class->name)
		return strlen(class->name) == size && memcmp(class->name, name, size) == 0;
	return frcnn_parse_int64(name, size, &id) == 0 && id == class->category_id;
}

/* "AP" or "CLASS:AP"; a class may have ':' in its name, a metric has none. 0, or FRCNN_EINVAL: there is no such. */
static int look_up(const struct frcnn_report_model *model, const char *name, double *value, struct frcnn_error *err)
{
	const char *colon = strrchr(name, ':');
	const struct frcnn_report_metrics *metrics = &model->metrics;
	const struct frcnn_report_metric *metric;

	if (colon) {
		metrics = NULL;
		for (size_t k = 0; k < model->nclasses; k++) {
			if (!is_class(&model->classes[k], name, (size_t)(colon - name)))
				continue;
			if (metrics)
				return frcnn_fail(err, FRCNN_EINVAL, "two classes are called \"%.*s\"",
						  (int)(colon - name), name);
			metrics = &model->classes[k].metrics;
		}
		if (!metrics)
			return frcnn_fail(err, FRCNN_EINVAL, "no class \"%.*s\"", (int)(colon - name), name);
	}
	metric = frcnn_report_metric_find(metrics, colon ? colon + 1 : name);
	if (!metric)
		return frcnn_fail(err, FRCNN_EINVAL, "no metric \"%s\"", colon ? colon + 1 : name);
	*value = metric->value;
	return 0;
}

static const struct frcnn_report_difference *find_difference(const struct frcnn_report_model *model, const char *name)
{
	for (size_t i = 0; i < model->ndifferences; i++) {
		if (strcmp(model->differences[i].name, name) == 0)
			return &model->differences[i];
	}
	return NULL;
}

/* ---- judging
 * --------------------------------------------------------------------------------------------------------- */

static const char *number(double value, char text[33])
{
	text[frcnn_format_double(value, text)] = '\0';
	return text;
}

static int say(struct frcnn_gate_result *result, enum frcnn_gate_verdict verdict, struct frcnn_error *err,
	       const char *format, ...) FRCNN_PRINTF(4, 5);

static int say(struct frcnn_gate_result *result, enum frcnn_gate_verdict verdict, struct frcnn_error *err,
	       const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	result->verdict = verdict;
	result->message = frcnn_strdup(text);
	return result->message ? 0 : frcnn_fail_nomem(err);
}

/* MIN and MAX. */
static int judge_bound(const struct frcnn_report_model *model, const struct frcnn_gate *gate,
		       struct frcnn_gate_result *result, struct frcnn_error *err)
{
	bool min = gate->kind == FRCNN_GATE_MIN;
	struct frcnn_error inner;
	char value[33], bound[33];

	if (look_up(model, gate->metric, &result->value, &inner) < 0)
		return say(result, FRCNN_GATE_TROUBLE, err, "%s: %s", gate->metric, inner.message);
	if (!isfinite(result->value) || result->value <= -1)
		return say(result, FRCNN_GATE_TROUBLE, err, "%s is undefined: there is nothing to measure it on",
			   gate->metric);
	number(result->value, value);
	number(gate->bound, bound);
	if (min ? result->value < gate->bound : result->value > gate->bound)
		return say(result, FRCNN_GATE_FAILED, err, "%s is %s, %s %s", gate->metric, value,
			   min ? "below" : "above", bound);
	return say(result, FRCNN_GATE_HOLDS, err, "%s is %s, at %s %s", gate->metric, value, min ? "least" : "most",
		   bound);
}

static int judge_drop(const struct frcnn_report *report, const struct frcnn_report_model *model,
		      const struct frcnn_gate *gate, bool significant, struct frcnn_gate_result *result,
		      struct frcnn_error *err)
{
	const struct frcnn_report_difference *difference = find_difference(model, gate->metric);
	char drop[33], bound[33], low[33], high[33], interval[128] = "";
	double ours, before;
	struct frcnn_error inner;

	if (!report->baseline)
		return say(result, FRCNN_GATE_TROUBLE, err, "%s: there is no baseline", gate->metric);
	if (look_up(model, gate->metric, &ours, &inner) < 0 ||
	    look_up(report->baseline, gate->metric, &before, &inner) < 0)
		return say(result, FRCNN_GATE_TROUBLE, err, "%s: %s", gate->metric, inner.message);
	if (!isfinite(ours) || ours <= -1 || !isfinite(before) || before <= -1)
		return say(result, FRCNN_GATE_TROUBLE, err, "%s is undefined: there is nothing to measure it on",
			   gate->metric);
	result->value = before - ours;
	result->has_interval = difference && difference->has_interval;
	if (significant && !result->has_interval)
		return say(result, FRCNN_GATE_TROUBLE, err,
			   "%s has no interval: there is one for AP, AP50, AP75 and CLASS:AP alone", gate->metric);
	if (result->has_interval) {
		result->low = -difference->d.high;
		result->high = -difference->d.low;
		snprintf(interval, sizeof interval, " (95%%: %s to %s)", number(result->low, low),
			 number(result->high, high));
	}
	number(result->value, drop);
	number(gate->bound, bound);
	if (result->value > gate->bound && !(significant && result->low <= gate->bound))
		return say(result, FRCNN_GATE_FAILED, err, "%s fell by %s%s, more than %s", gate->metric, drop,
			   interval, bound);
	return say(result, FRCNN_GATE_HOLDS, err, "%s fell by %s%s, %s %s", gate->metric, drop, interval,
		   result->value > gate->bound ? "not significantly more than" : "at most", bound);
}

int frcnn_gate_check(const struct frcnn_report *report, const struct frcnn_gate *gate, struct frcnn_error *err)
{
	double value;
	int status = 0;

	for (size_t m = 0; m < report->nmodels && status == 0; m++)
		status = look_up(&report->models[m], gate->metric, &value, err);
	if (status == 0 && gate->kind == FRCNN_GATE_MAX_DROP && report->baseline)
		status = look_up(report->baseline, gate->metric, &value, err);
	return status;
}

int frcnn_gates_judge(struct frcnn_report *report, bool significant, struct frcnn_error *err)
{
	bool judged = report->status < 2;
	int status;

	report->nresults = 0;
	report->results = frcnn_calloc(report->ngates * report->nmodels, sizeof *report->results);
	if (!report->results)
		return frcnn_fail_nomem(err);
	for (size_t g = 0; g < report->ngates; g++) {
		for (size_t m = 0; m < report->nmodels; m++) {
			const struct frcnn_gate *gate = &report->gates[g];
			struct frcnn_gate_result *result = &report->results[report->nresults++];

			result->gate = g;
			result->model = m;
			if (!judged)
				status = say(result, FRCNN_GATE_NOT_JUDGED, err,
					     "%s is not judged: something was left out", gate->metric);
			else if (gate->kind == FRCNN_GATE_MAX_DROP)
				status = judge_drop(report, &report->models[m], gate, significant, result, err);
			else
				status = judge_bound(&report->models[m], gate, result, err);
			if (status < 0)
				return status;
			if (result->verdict == FRCNN_GATE_TROUBLE)
				report->status = 2;
			else if (result->verdict == FRCNN_GATE_FAILED && report->status == 0)
				report->status = 1;
		}
	}
	return 0;
}
