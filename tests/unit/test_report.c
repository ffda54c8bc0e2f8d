/* Reports made by hand, rendered in every format and read back by readers that are not ours where there are some. */
#include <criterion/criterion.h>

#include "model/model.h"
#include "refuse.h"
#include "render/render.h"

#include <expat.h>
#include <math.h>
#include <unistd.h>

/* ---- a report made by hand ------------------------------------------------------------------------------------- */

enum { MOST_CLASSES = 80, MOST_MODELS = 2 };

struct sample {
	struct frcnn_report report;
	struct frcnn_eval_truth truth;
	struct frcnn_report_model models[MOST_MODELS], baseline;
	int64_t category_ids[MOST_CLASSES];
	const char *category_names[MOST_CLASSES];
	char names[MOST_CLASSES][24];
	struct frcnn_gate gates[4];
	struct frcnn_gate_result results[4];
	char *warnings[1], *errors[1];
};

/* pycocotools' numbers for the example results of the COCO API */
static const double stats[12] = {.5045806987249628, .6969727247299577, .5729816669904824,  .5856257209410443,
				 .5193996948036719, .5013978986347466, .38681277964578054, .5936795762842003,
				 .595352982877607,  .6398109626113442, .5664205978994309,  .5642905982905982};
static const char *const stat_names[12] = {"AP",  "AP50", "AP75",  "APs", "APm", "APl",
					   "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"};
static const char hostile[] = "<b>&\"'|`_*,=@x\xF0\x9F\x90\x88";
static const char control[] = "a\x1b[31m\nb\xff";

static void add(struct frcnn_report_metrics *metrics, const char *name, double value)
{
	cr_assert_eq(frcnn_report_metric_add(metrics, name, value), 0);
}

static void fill_cells(struct frcnn_eval_cells *cells, int classes)
{
	size_t curve, cell;

	*cells = (struct frcnn_eval_cells){.T = 10, .R = 101, .K = classes, .A = 4, .M = 3};
	cell = (size_t)classes * 10 * 4 * 3;
	curve = cell * 101;
	cells->precision = frcnn_calloc(curve, sizeof(double));
	cells->scores = frcnn_calloc(curve, sizeof(double));
	cells->recall = frcnn_calloc(cell, sizeof(double));
	cells->category = frcnn_calloc((size_t)classes, sizeof(uint32_t));
	for (size_t i = 0; i < curve; i++) {
		size_t r = i / ((size_t)classes * 12) % 101, k = i / 12 % (size_t)classes;
		cells->precision[i] = r < 30 ? 1 : fmax(0, 1 - (double)r / (70 + (double)(k % 40)));
		cells->scores[i] = 1 - (double)r / 101;
	}
	for (size_t i = 0; i < cell; i++)
		cells->recall[i] = 0.1 + (double)i / (double)cell / 3;
	for (int k = 0; k < classes; k++)
		cells->category[k] = (uint32_t)k;
}

static void fill_model(struct sample *s, struct frcnn_report_model *model, int classes, bool all)
{
	memcpy(model->stats, stats, sizeof(stats));
	for (int i = 0; i < 12; i++)
		add(&model->metrics, stat_names[i], stats[i]);
	model->images = 3;
	model->detections = 12345;
	model->nclasses = (size_t)classes;
	model->classes = frcnn_calloc((size_t)classes, sizeof(*model->classes));
	fill_cells(&model->cells, classes);
	for (int k = 0; k < classes; k++) {
		struct frcnn_report_class *c = &model->classes[k];
		*c = (struct frcnn_report_class){.name = s->category_names[k],
						 .category_id = s->category_ids[k],
						 .category = (size_t)k,
						 .objects = 7,
						 .detections = 9,
						 .operating = {7, 8, 0.75, 0.625, 0.6875},
						 .best = {true, 0.32, 0.3125, 0.8, 0.7, 0.75},
						 .voc_ap = 0.375};
		add(&c->metrics, "AP", k == 1 ? -1 : 0.25);
		add(&c->metrics, "AP50", 0.4375);
		if (all)
			add(&c->metrics, "voc", 0.375);
	}
	if (!all)
		return;
	model->has_matches = model->has_voc = model->has_tide = model->has_calibration = model->has_confusion = true;
	add(&model->metrics, "recall.small", 0.78125);
	add(&model->metrics, "precision", 0.875);
	add(&model->metrics, "recall", 0.5);
	add(&model->metrics, "f1", 0.636);
	add(&model->metrics, "fp_per_image", 1.5);
	add(&model->metrics, "mAP", 0.6875);
	add(&model->metrics, "ece", 0.0625);
	add(&model->metrics, "mce", 0.1875);
	model->operating = (struct frcnn_eval_operating){10, 8, 0.875, 0.5, 0.636};
	model->best = (struct frcnn_eval_threshold){true, 0.45, 0.4375, 0.9, 0.6, 0.72};
	model->background = (struct frcnn_eval_background){1, 2, 1.5, 2, 4};
	for (int i = 0; i < FRCNN_REPORT_SWEEP; i++)
		model->sweep[i] = (struct frcnn_eval_operating){10, 8, i == 19 ? -1 : 0.5, 0.5, 0.5};
	model->voc = (struct frcnn_eval_voc){.mean = 0.6875};
	model->tide =
	    (struct frcnn_eval_tide){61.5, 22.25, .25, 0, .0625, 4.75, 8.5, 6.8125, 17.625, {83, 1, 0, 2, 5, 97}};
	model->calibration = (struct frcnn_eval_calibration){
	    .nbins = 2, .ece = 0.0625, .mce = 0.1875, .bins = {{0, 0.5, 0, 0, 0}, {0.5, 1, 40, 0.8125, 0.625}}};
	size_t side = (size_t)classes + 1;
	model->confusion = frcnn_calloc(side * side, sizeof(size_t));
	for (size_t i = 0; i < side; i++)
		model->confusion[i * side + i] = i + 1 < side ? 20 + i : 0;
	model->confusion[side - 1] = 17; /* class 0, not found */
	if (classes > 2)
		model->confusion[1 * side + 2] = 5;
}

/* Parts are there when all is set; models 1 or 2. */
static void make(struct sample *s, int classes, int models, bool all)
{
	memset(s, 0, sizeof(*s));
	for (int k = 0; k < classes; k++) {
		snprintf(s->names[k], sizeof(s->names[k]), "class %d", k + 1);
		s->category_names[k] = s->names[k];
		s->category_ids[k] = k + 1;
	}
	if (classes > 2) {
		s->category_names[0] = hostile;
		s->category_names[1] = NULL;
		s->category_names[2] = control;
	}
	s->truth = (struct frcnn_eval_truth){.nimages = 3,
					     .ncategories = (size_t)classes,
					     .category_ids = s->category_ids,
					     .category_names = s->category_names,
					     .nobjects = 36781};
	s->warnings[0] = "dets.jsonl:3: box <odd>";
	s->errors[0] = "dets.jsonl:4: score is NaN & more";
	s->report = (struct frcnn_report){.truth_path = "truth & co/gt.json",
					  .truth_sha256 = "00ff",
					  .truth = &s->truth,
					  .truth_crowds = 2,
					  .threshold_score = 0.5,
					  .match_iou = 0.5,
					  .per_class = all,
					  .threshold_given = all,
					  .voc_iou = 0.5,
					  .confusion_iou = 0.5,
					  .nconfusion = (size_t)classes,
					  .tide_foreground_iou = 0.5,
					  .tide_background_iou = 0.1,
					  .models = s->models,
					  .nmodels = (size_t)models,
					  .warnings = s->warnings,
					  .nwarnings = 1,
					  .errors = s->errors,
					  .nerrors = 1};
	frcnn_eval_options_init(&s->report.options);
	for (int m = 0; m < models; m++) {
		s->models[m].path = m == 0 ? "runs/<new>.jsonl" : "-";
		fill_model(s, &s->models[m], classes, all);
	}
}

static void add_baseline(struct sample *s)
{
	struct frcnn_report_model *model = &s->models[0];
	static const struct {
		const char *name;
		struct frcnn_eval_difference d;
		bool interval, class_level;
	} rows[] = {{"AP", {.5045806987249628, .5, .0045806987249628, -.002, .011}, true, false},
		    {"AP50", {-1, .5, -1, 0, 0}, false, false},
		    {"class 2:AP", {.25, .5, -.25, -.375, -.125}, true, true},
		    {"class 1:AP", {.25, .125, .125, .0625, .1875}, true, true}};

	s->baseline.path = "runs/old.jsonl";
	s->report.baseline = &s->baseline;
	s->report.resamples = 1000;
	s->report.seed = UINT64_MAX;
	model->has_baseline = true;
	model->tied_scores = 0.25;
	model->ndifferences = FRCNN_COUNT(rows);
	model->differences = frcnn_calloc(FRCNN_COUNT(rows), sizeof(*model->differences));
	for (size_t i = 0; i < FRCNN_COUNT(rows); i++)
		model->differences[i] = (struct frcnn_report_difference){frcnn_strdup(rows[i].name), rows[i].d,
									 rows[i].interval, rows[i].class_level};
}

static void add_gates(struct sample *s)
{
	static const struct frcnn_gate_result results[] = {
	    {.gate = 0, .verdict = FRCNN_GATE_HOLDS, .value = .5045806987249628, .message = "AP is 0.5, at least 0.37"},
	    {.gate = 1, .verdict = FRCNN_GATE_FAILED, .value = 0.4375, .message = "<b>:AP50 is 0.4375, below 0.6"},
	    {.gate = 2, .verdict = FRCNN_GATE_TROUBLE, .message = "no metric \"APx\""},
	    {.gate = 3, .verdict = FRCNN_GATE_NOT_JUDGED, .message = "something was left out"},
	};

	s->gates[0] = (struct frcnn_gate){FRCNN_GATE_MIN, "AP", 0.37};
	s->gates[1] = (struct frcnn_gate){FRCNN_GATE_MIN, "<b>:AP50", 0.6};
	s->gates[2] = (struct frcnn_gate){FRCNN_GATE_MIN, "APx", 0.1};
	s->gates[3] = (struct frcnn_gate){FRCNN_GATE_MAX_DROP, "AP", 0.005};
	memcpy(s->results, results, sizeof(results));
	s->report.gates = s->gates;
	s->report.ngates = s->report.nresults = 4;
	s->report.results = s->results;
}

static void unmake(struct sample *s)
{
	for (size_t m = 0; m < s->report.nmodels; m++) {
		struct frcnn_report_model *model = &s->models[m];
		free(model->metrics.items);
		for (size_t k = 0; k < model->nclasses; k++)
			free(model->classes[k].metrics.items);
		free(model->classes);
		frcnn_eval_cells_free(&model->cells);
		free(model->confusion);
		for (size_t i = 0; i < model->ndifferences; i++)
			free(model->differences[i].name);
		free(model->differences);
	}
}

static struct frcnn_buffer render(const struct sample *s, enum frcnn_report_format format)
{
	struct frcnn_buffer out = {0};
	struct frcnn_error err;

	cr_assert_eq(frcnn_report_render(&s->report, format, &out, &err), 0, "%s", err.message);
	cr_assert_not_null(out.data);
	return out;
}

static void expect_has(const struct frcnn_buffer *out, const char *piece)
{
	cr_expect_not_null(strstr(out->data, piece), "lacks: %s", piece);
}

static void expect_lacks(const struct frcnn_buffer *out, const char *piece)
{
	cr_expect_null(strstr(out->data, piece), "has: %s", piece);
}

static void expect_text(struct frcnn_buffer *out, const char *expected)
{
	cr_expect_str_eq(out->data, expected, "found:\n%s\nexpected:\n%s", out->data, expected);
	frcnn_buffer_free(out);
}

/* ---- text ----------------------------------------------------------------------------------------------------------
 */

Test(report, text_is_pycocotools_own)
{
	struct sample s;

	make(&s, 3, 1, false);
	s.models[0].stats[3] = -1;
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_TEXT);
	expect_text(&out, " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.505\n"
			  " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.697\n"
			  " Average Precision  (AP) @[ IoU=0.75      | area=   all | maxDets=100 ] = 0.573\n"
			  " Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = -1.000\n"
			  " Average Precision  (AP) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ] = 0.519\n"
			  " Average Precision  (AP) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.501\n"
			  " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ] = 0.387\n"
			  " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets= 10 ] = 0.594\n"
			  " Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.595\n"
			  " Average Recall     (AR) @[ IoU=0.50:0.95 | area= small | maxDets=100 ] = 0.640\n"
			  " Average Recall     (AR) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ] = 0.566\n"
			  " Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = 0.564\n");
	unmake(&s);
}

Test(report, text_of_pycocotools_says_100_whatever_the_limit)
{
	struct sample s;

	make(&s, 3, 1, false);
	s.report.options.pycocotools = true;
	s.report.options.max_dets[0] = 2;
	s.report.options.max_dets[2] = 300;
	s.models[0].stats[0] = -1;
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_TEXT);
	expect_has(&out, "(AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = -1.000\n");
	expect_has(&out, "(AP) @[ IoU=0.50      | area=   all | maxDets=300 ] = 0.697\n");
	expect_has(&out, "(AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  2 ] = 0.387\n");
	frcnn_buffer_free(&out);
	unmake(&s);
}

Test(report, text_of_own_thresholds_names_them)
{
	struct sample s;

	make(&s, 3, 1, false);
	struct frcnn_eval_options *o = &s.report.options;
	o->nious = 2;
	o->ious[0] = 0.5;
	o->ious[1] = 0.625;
	o->nareas = 2;
	snprintf(o->areas[1].name, sizeof(o->areas[1].name), "tiny");
	o->nmax_dets = 1;
	o->max_dets[0] = 7;
	add(&s.models[0].metrics, "AP62.5", 0.125);
	add(&s.models[0].metrics, "AP.tiny", 0.0625);
	add(&s.models[0].metrics, "AR.tiny", 0.03125);
	add(&s.models[0].metrics, "AR7", 0.75);
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_TEXT);
	expect_text(&out, " Average Precision  (AP) @[ IoU=0.50:0.62 | area=   all | maxDets=  7 ] = 0.505\n"
			  " Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=  7 ] = 0.697\n"
			  " Average Precision  (AP) @[ IoU=0.625     | area=   all | maxDets=  7 ] = 0.125\n"
			  " Average Precision  (AP) @[ IoU=0.50:0.62 | area=  tiny | maxDets=  7 ] = 0.062\n"
			  " Average Recall     (AR) @[ IoU=0.50:0.62 | area=   all | maxDets=  7 ] = 0.750\n"
			  " Average Recall     (AR) @[ IoU=0.50:0.62 | area=  tiny | maxDets=  7 ] = 0.031\n");
	unmake(&s);
}

Test(report, text_adds_the_parts_that_were_asked_for)
{
	struct sample s;

	make(&s, 3, 1, true);
	add_gates(&s);
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_TEXT);
	expect_has(&out, "\nClasses\n class               objects  detections     AP   AP50    voc\n");
	/* the cat is one character and the bell of a terminal is not rung */
	expect_has(&out, "\n <b>&\"'|`_*,=@x\xF0\x9F\x90\x88           7           9  0.250  0.438  0.375\n");
	expect_has(&out, "\n category 2                7           9      -  0.438  0.375\n");
	expect_has(&out, "\n a\\x1B[31m\\x0Ab\\xFF        7           9  0.250  0.438  0.375\n");
	expect_lacks(&out, "\x1b");
	expect_has(&out, "\nPrecision, recall and F1 at scores above 0.5 and at the best thresholds (IoU 0.50)\n");
	expect_has(&out, "\nPascal VOC AP, all points, IoU 0.5\n");
	expect_has(&out, "(AP 61.50 at IoU 0.5)\n");
	expect_has(&out, " class                22.25     83\n");
	expect_has(&out, "\nConfusion: truth by row, prediction by column (IoU 0.5, scores above 0.5)\n");
	expect_has(&out, "\nCalibration: expected error 0.0625, greatest 0.1875\n");
	expect_has(&out, " 0.50 to 1.00          40       0.812      0.625\n");
	expect_has(&out, "\nGates\n");
	expect_has(&out, " AP >= 0.37           0.5046       holds\n");
	expect_has(&out, " drop of AP <= 0.005       -  not judged\n");
	frcnn_buffer_free(&out);

	s.report.hidden = FRCNN_MEASURE_MATCHES | FRCNN_MEASURE_VOC | FRCNN_MEASURE_TIDE | FRCNN_MEASURE_CONFUSION |
			  FRCNN_MEASURE_CALIBRATION;
	s.report.per_class = s.report.threshold_given = false;
	s.report.nresults = 0;
	out = render(&s, FRCNN_REPORT_TEXT);
	cr_expect_eq(strchr(out.data, '\n') - out.data, 79);
	cr_expect_eq(out.size, 12 * 80, "more than the summary:\n%s", out.data);
	frcnn_buffer_free(&out);
	unmake(&s);
}

Test(report, text_of_several_models_is_a_table)
{
	struct sample s;

	make(&s, 1, 2, false);
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_TEXT);
	expect_text(&out,
		    " model                AP   AP50   AP75    APs    APm    APl    AR1   AR10  AR100    ARs    ARm    "
		    "ARl\n"
		    " runs/<new>.jsonl  0.505  0.697  0.573  0.586  0.519  0.501  0.387  0.594  0.595  0.640  0.566  "
		    "0.564\n"
		    " standard input    0.505  0.697  0.573  0.586  0.519  0.501  0.387  0.594  0.595  0.640  0.566  "
		    "0.564\n");
	unmake(&s);
}

Test(report, frequent_confusions_come_first)
{
	struct sample s;
	struct frcnn_confused top[3];

	make(&s, 20, 1, true);
	size_t *matrix = s.models[0].confusion;
	matrix[4 * 21 + 5] = 5;
	matrix[20 * 21 + 3] = 99;
	cr_assert_eq(frcnn_render_confused(&s.report, &s.models[0], top, 3), 3);
	cr_expect(top[0].truth == 20 && top[0].prediction == 3 && top[0].count == 99);
	cr_expect(top[1].truth == 0 && top[1].prediction == 20 && top[1].count == 17);
	cr_expect(top[2].truth == 1 && top[2].prediction == 2 && top[2].count == 5, "equal counts keep their order");
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_TEXT);
	expect_has(&out, "\nMost frequent confusions (IoU 0.5, scores above 0.5)\n");
	expect_has(&out, "\n background                  class 4     99\n");
	frcnn_buffer_free(&out);
	unmake(&s);
}

/* ---- JSON
 * ------------------------------------------------------------------------------------------------------------ */

/* The value under a path of keys ("a/b/2") as text; fails the test when it is not there. */
static struct frcnn_span find(struct frcnn_span text, const char *path)
{
	while (*path != '\0') {
		struct frcnn_json json;
		struct frcnn_span key, value = {0};
		struct frcnn_error err = {0};
		size_t length = strcspn(path, "/");
		bool found = false;

		frcnn_json_open(&json, text.data, text.size, &err);
		if (frcnn_json_peek(&json) == FRCNN_JSON_ARRAY) {
			long index = strtol(path, NULL, 10);
			cr_assert_eq(frcnn_json_enter_array(&json), 0);
			for (long i = 0; !found && frcnn_json_next_element(&json) > 0; i++) {
				cr_assert_eq(frcnn_json_skip(&json, &value), 0);
				found = i == index;
			}
		} else {
			cr_assert_eq(frcnn_json_enter_object(&json), 0, "%s: %s", path, err.message);
			while (!found && frcnn_json_next_key(&json, &key) > 0) {
				found = key.size == length && memcmp(key.data, path, length) == 0;
				cr_assert_eq(frcnn_json_skip(&json, &value), 0);
			}
		}
		frcnn_json_close(&json);
		cr_assert(found, "no %s", path);
		text = value;
		path += length + (path[length] == '/');
	}
	return text;
}

static void expect_value(const struct frcnn_buffer *out, const char *path, const char *expected)
{
	struct frcnn_span value = find((struct frcnn_span){out->data, out->size}, path);

	cr_expect(frcnn_span_is(value, expected), "%s is %.*s, not %s", path, (int)value.size, value.data, expected);
}

static void expect_keys(const struct frcnn_buffer *out, const char *path, const char *expected)
{
	struct frcnn_span text = find((struct frcnn_span){out->data, out->size}, path), key, value;
	struct frcnn_buffer keys = {0};
	struct frcnn_json json;

	frcnn_json_open(&json, text.data, text.size, NULL);
	cr_assert_eq(frcnn_json_enter_object(&json), 0);
	while (frcnn_json_next_key(&json, &key) > 0) {
		frcnn_buffer_add(&keys, key.data, key.size);
		frcnn_buffer_putc(&keys, ' ');
		cr_assert_eq(frcnn_json_skip(&json, &value), 0);
	}
	frcnn_json_close(&json);
	cr_expect_str_eq(keys.data, expected);
	frcnn_buffer_free(&keys);
}

Test(report, json_has_the_keys_that_were_promised)
{
	struct sample s;

	make(&s, 3, 1, true);
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_JSON);
	expect_keys(&out, "", "stats metrics classes voc tide confusion calibration thresholds background inputs ");
	expect_keys(&out, "voc", "method iou mAP classes ");
	expect_keys(&out, "tide", "cls loc both dupe bkg miss fp fn ap counts ");
	expect_keys(&out, "tide/counts", "cls loc both dupe bkg miss ");
	expect_keys(&out, "confusion", "labels matrix iou score ");
	expect_keys(&out, "calibration", "ece mce bins ");
	expect_keys(&out, "calibration/bins/1", "low high count confidence precision ");
	expect_keys(&out, "inputs", "ground_truth detections warnings errors ");
	expect_value(&out, "stats/6", "0.38681277964578054");
	expect_value(&out, "metrics/AP", "0.5045806987249628");
	expect_value(&out, "tide/counts/miss", "97");
	expect_value(&out, "confusion/matrix/0", "[20,0,0,17]");
	expect_value(&out, "confusion/labels/3", "\"background\"");
	expect_value(&out, "classes/1/name", "null");
	expect_value(&out, "classes/1/AP", "-1");
	expect_value(&out, "classes/0/gt", "7");
	expect_value(&out, "classes/0/best_threshold", "0.3125");
	expect_value(&out, "calibration/bins/1",
		     "{\"low\":0.5,\"high\":1,\"count\":40,\"confidence\":0.8125,\"precision\":0.625}");
	expect_value(&out, "inputs/errors/0", "\"dets.jsonl:4: score is NaN & more\"");
	frcnn_buffer_free(&out);

	/* what was not asked for is absent */
	s.report.per_class = false;
	s.report.hidden = FRCNN_MEASURE_MATCHES | FRCNN_MEASURE_VOC | FRCNN_MEASURE_TIDE | FRCNN_MEASURE_CONFUSION |
			  FRCNN_MEASURE_CALIBRATION;
	out = render(&s, FRCNN_REPORT_JSON);
	expect_keys(&out, "", "stats metrics inputs ");
	expect_keys(&out, "metrics", "AP AP50 AP75 APs APm APl AR1 AR10 AR100 ARs ARm ARl ");
	frcnn_buffer_free(&out);
	unmake(&s);
}

Test(report, json_numbers_read_back_to_the_same_double)
{
	struct sample s;

	make(&s, 1, 1, false);
	s.models[0].stats[1] = 0.1 + 0.2;
	s.models[0].stats[2] = nextafter(1, 0);
	s.models[0].stats[3] = 5e-324;
	s.models[0].stats[4] = NAN;
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_JSON);
	for (int i = 0; i < 12; i++) {
		char path[16];
		double value;
		snprintf(path, sizeof(path), "stats/%d", i);
		struct frcnn_span text = find((struct frcnn_span){out.data, out.size}, path);
		if (i == 4) {
			cr_expect(frcnn_span_is(text, "null"));
			continue;
		}
		cr_assert_eq(frcnn_parse_double(text.data, text.size, &value), 0);
		cr_expect_eq(memcmp(&value, &s.models[0].stats[i], sizeof(value)), 0);
	}
	frcnn_buffer_free(&out);
	unmake(&s);
}

Test(report, json_escapes_hostile_names)
{
	struct sample s;
	struct frcnn_json json;
	struct frcnn_span text;

	make(&s, 3, 1, true);
	s.models[0].path = "bad\xff\"\\name";
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_JSON);
	struct frcnn_span raw = find((struct frcnn_span){out.data, out.size}, "classes/0/name");
	frcnn_json_open(&json, raw.data, raw.size, NULL);
	cr_assert_eq(frcnn_json_string(&json, &text), 0);
	cr_expect(frcnn_span_is(text, hostile));
	frcnn_json_close(&json);
	/* not UTF-8: shown, and the document stays one */
	raw = find((struct frcnn_span){out.data, out.size}, "inputs/detections/0/file");
	frcnn_json_open(&json, raw.data, raw.size, NULL);
	cr_assert_eq(frcnn_json_string(&json, &text), 0);
	cr_expect(frcnn_span_is(text, "bad\\xFF\"\\name"));
	frcnn_json_close(&json);
	frcnn_buffer_free(&out);
	unmake(&s);
}

Test(report, json_of_several_models_comparison_and_gates)
{
	struct sample s;

	make(&s, 3, 2, false);
	add_gates(&s);
	add_baseline(&s);
	s.report.per_class = true;
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_JSON);
	expect_keys(&out, "", "models gates inputs ");
	expect_keys(&out, "models/0", "file stats metrics classes comparison ");
	expect_keys(&out, "models/1", "file stats metrics classes ");
	expect_value(&out, "models/0/comparison/seed", "18446744073709551615");
	expect_value(&out, "models/0/comparison/differences/0",
		     "{\"name\":\"AP\",\"value\":0.5045806987249628,\"baseline\":0.5,\"difference\":0.0045806987249628,"
		     "\"low\":-0.002,\"high\":0.011}");
	expect_value(&out, "models/0/comparison/differences/1", "{\"name\":\"AP50\",\"value\":-1,\"baseline\":0.5}");
	expect_value(&out, "models/0/comparison/differences/3/difference", "0.125");
	expect_value(&out, "gates/1/verdict", "\"failed\"");
	expect_value(&out, "gates/1/value", "0.4375");
	expect_value(&out, "gates/3/kind", "\"max-drop\"");
	expect_keys(&out, "gates/2", "metric kind bound file verdict message ");
	expect_keys(&out, "inputs", "ground_truth detections baseline warnings errors ");
	frcnn_buffer_free(&out);
	unmake(&s);
}

/* ---- CSV, Markdown, JUnit ------------------------------------------------------------------------------------------
 */

Test(report, csv_has_a_row_for_each_number)
{
	struct sample s;

	make(&s, 3, 1, false);
	s.report.per_class = true;
	s.models[0].metrics.count = 2;
	s.models[0].nclasses = 2;
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_CSV);
	expect_text(&out, "model,category_id,category,metric,value\r\n"
			  "runs/<new>.jsonl,,,AP,0.5045806987249628\r\n"
			  "runs/<new>.jsonl,,,AP50,0.6969727247299577\r\n"
			  "runs/<new>.jsonl,1,\"<b>&\"\"'|`_*,=@x\xF0\x9F\x90\x88\",gt,7\r\n"
			  "runs/<new>.jsonl,1,\"<b>&\"\"'|`_*,=@x\xF0\x9F\x90\x88\",detections,9\r\n"
			  "runs/<new>.jsonl,1,\"<b>&\"\"'|`_*,=@x\xF0\x9F\x90\x88\",AP,0.25\r\n"
			  "runs/<new>.jsonl,1,\"<b>&\"\"'|`_*,=@x\xF0\x9F\x90\x88\",AP50,0.4375\r\n"
			  "runs/<new>.jsonl,2,category 2,gt,7\r\n"
			  "runs/<new>.jsonl,2,category 2,detections,9\r\n"
			  "runs/<new>.jsonl,2,category 2,AP,-1\r\n"
			  "runs/<new>.jsonl,2,category 2,AP50,0.4375\r\n");
	s.models[0].nclasses = 3;
	unmake(&s);
}

Test(report, csv_shows_the_baseline_beside)
{
	struct sample s;

	make(&s, 2, 1, true);
	add_baseline(&s);
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_CSV);
	expect_has(&out, "model,category_id,category,metric,value,baseline,difference,low,high\r\n");
	expect_has(&out, ",,,AP,0.5045806987249628,0.5,0.0045806987249628,-0.002,0.011\r\n");
	expect_has(&out, ",,,AP50,0.6969727247299577,0.5,,,\r\n");
	expect_has(&out, ",,,AP75,0.5729816669904824,,,,\r\n");
	expect_has(&out, ",1,class 1,AP,0.25,0.125,0.125,0.0625,0.1875\r\n");
	expect_has(&out, ",,,tide.miss.count,97,,,,\r\n");
	expect_has(&out, ",,,best_threshold,0.4375,,,,\r\n");
	frcnn_buffer_free(&out);
	unmake(&s);
}

Test(report, markdown_keeps_names_in_their_cells)
{
	struct sample s;

	make(&s, 3, 1, false);
	add_gates(&s);
	s.report.per_class = true;
	s.models[0].metrics.count = 1;
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_MARKDOWN);
	expect_text(&out, "## Evaluation of runs/&#60;new&#62;.jsonl\n"
			  "\n### Gates\n\n"
			  "| gate | value | verdict |\n|---|---:|---:|\n"
			  "| AP &#62;= 0.37 | 0.5046 | holds |\n"
			  "| &#60;b&#62;:AP50 &#62;= 0.6 | 0.4375 | failed |\n"
			  "| APx &#62;= 0.1 | - | trouble |\n"
			  "| drop of AP &#60;= 0.005 | - | not judged |\n"
			  "\n### Metrics\n\n"
			  "| metric | value |\n|---|---:|\n"
			  "| AP | 0.505 |\n"
			  "\n### Classes\n\n"
			  "| class | objects | detections | AP | AP50 |\n|---|---:|---:|---:|---:|\n"
			  "| &#60;b&#62;&#38;\"'&#124;\\`\\_\\*,=&#64;x\xF0\x9F\x90\x88 | 7 | 9 | 0.250 | 0.438 |\n"
			  "| category 2 | 7 | 9 | - | 0.438 |\n"
			  "| a\\\\x1B\\[31m\\\\x0Ab\\\\xFF | 7 | 9 | 0.250 | 0.438 |\n");
	unmake(&s);
}

/* ---- XML
 * ---------------------------------------------------------------------------------------------------------------- */

enum { MOST_IDS = 400 };

/* What a parser that is not ours sees of a document. */
struct seen {
	struct frcnn_buffer text, names; /* character data; names of elements and attributes */
	struct frcnn_buffer titles;      /* values of title attributes and the like */
	char *ids[MOST_IDS], *links[MOST_IDS];
	size_t nids, nlinks, elements, svgs;
	size_t tests, failures, errors, skipped;
	const char *outside; /* an address of something outside the page */
	int dash;
};

static void on_start(void *data, const XML_Char *name, const XML_Char **attributes)
{
	struct seen *seen = data;

	seen->elements++;
	seen->svgs += strcmp(name, "svg") == 0;
	seen->tests += strcmp(name, "testcase") == 0;
	seen->failures += strcmp(name, "failure") == 0;
	seen->errors += strcmp(name, "error") == 0;
	seen->skipped += strcmp(name, "skipped") == 0;
	frcnn_buffer_printf(&seen->names, "<%s ", name);
	for (size_t i = 0; attributes[i] != NULL; i += 2) {
		const char *attribute = attributes[i], *value = attributes[i + 1];
		frcnn_buffer_printf(&seen->names, "%s ", attribute);
		if (strcmp(attribute, "id") == 0 && seen->nids < MOST_IDS)
			seen->ids[seen->nids++] = frcnn_strdup(value);
		if (strcmp(attribute, "href") == 0 && value[0] == '#' && seen->nlinks < MOST_IDS)
			seen->links[seen->nlinks++] = frcnn_strdup(value + 1);
		else if (strcmp(attribute, "href") == 0 || strcmp(attribute, "src") == 0 ||
			 strncmp(attribute, "on", 2) == 0)
			seen->outside = "an address or a handler";
		if (strcmp(attribute, "title") == 0 || strcmp(attribute, "message") == 0 ||
		    strcmp(attribute, "name") == 0 || strcmp(attribute, "value") == 0) {
			frcnn_buffer_puts(&seen->titles, value);
			frcnn_buffer_putc(&seen->titles, '\n');
		}
	}
}

static void on_text(void *data, const XML_Char *text, int length)
{
	frcnn_buffer_add(&((struct seen *)data)->text, text, (size_t)length);
}

static void look(const struct frcnn_buffer *document, struct seen *seen)
{
	XML_Parser parser = XML_ParserCreate("UTF-8");

	memset(seen, 0, sizeof(*seen));
	frcnn_buffer_puts(&seen->titles, "");
	XML_SetUserData(parser, seen);
	XML_SetElementHandler(parser, on_start, NULL);
	XML_SetCharacterDataHandler(parser, on_text);
	cr_expect_eq(XML_Parse(parser, document->data, (int)document->size, 1), XML_STATUS_OK, "line %lu: %s",
		     (unsigned long)XML_GetCurrentLineNumber(parser), XML_ErrorString(XML_GetErrorCode(parser)));
	XML_ParserFree(parser);
}

static void unlook(struct seen *seen)
{
	for (size_t i = 0; i < seen->nids; i++)
		free(seen->ids[i]);
	for (size_t i = 0; i < seen->nlinks; i++)
		free(seen->links[i]);
	frcnn_buffer_free(&seen->text);
	frcnn_buffer_free(&seen->names);
	frcnn_buffer_free(&seen->titles);
}

Test(report, junit_makes_gates_test_cases)
{
	struct sample s;
	struct seen seen;

	make(&s, 3, 1, false);
	add_gates(&s);
	struct frcnn_buffer out = render(&s, FRCNN_REPORT_JUNIT);
	look(&out, &seen);
	cr_expect(seen.tests == 4 && seen.failures == 1 && seen.errors == 1 && seen.skipped == 1);
	expect_has(&out, "tests=\"4\" failures=\"1\" errors=\"1\" skipped=\"1\">");
	expect_has(&seen.titles, "<b>:AP50 is 0.4375, below 0.6\n");
	expect_has(&seen.titles, "no metric \"APx\"\n");
	expect_has(&seen.titles, "AP\n0.5045806987249628\n");
	expect_has(&seen.titles, "runs/<new>.jsonl\n");
	unlook(&seen);
	frcnn_buffer_free(&out);

	/* without gates it is a suite without tests */
	s.report.nresults = 0;
	out = render(&s, FRCNN_REPORT_JUNIT);
	look(&out, &seen);
	cr_expect_eq(seen.tests, 0);
	unlook(&seen);
	frcnn_buffer_free(&out);
	unmake(&s);
}

/* ---- the page
 * ------------------------------------------------------------------------------------------------------------ */

static struct frcnn_buffer page_of(const struct sample *s)
{
	struct frcnn_buffer out = {0};
	struct frcnn_error err;

	cr_assert_eq(frcnn_report_html(&s->report, &out, &err), 0, "%s", err.message);
	return out;
}

/* Well-formed, self-contained, links that lead somewhere, each id once. */
static void check_page(const struct frcnn_buffer *page, struct seen *seen)
{
	static const char *const banned[] = {"http", "url(", "@import", "<script", "<link", "<img", "javascript:"};

	look(page, seen);
	for (size_t i = 0; i < FRCNN_COUNT(banned); i++)
		expect_lacks(page, banned[i]);
	cr_expect_null(seen->outside, "%s", seen->outside);
	for (size_t i = 0; i < seen->nids; i++) {
		for (size_t j = 0; j < i; j++)
			cr_expect_str_neq(seen->ids[i], seen->ids[j]);
	}
	for (size_t i = 0; i < seen->nlinks; i++) {
		bool found = false;
		for (size_t j = 0; j < seen->nids; j++)
			found = found || strcmp(seen->links[i], seen->ids[j]) == 0;
		cr_expect(found, "nothing has the id %s", seen->links[i]);
	}
}

Test(report, page_shows_all_there_is)
{
	struct sample s;
	struct seen seen;
	char number[16];

	make(&s, 3, 1, true);
	add_gates(&s);
	add_baseline(&s);
	s.models[0].left_out = 1;
	struct frcnn_buffer page = page_of(&s);
	check_page(&page, &seen);
	for (int i = 0; i < 12; i++) {
		snprintf(number, sizeof(number), "%.3f", stats[i]);
		expect_has(&seen.text, number);
	}
	/* names arrive as they are, once read */
	expect_has(&seen.text, hostile);
	expect_has(&seen.text, "a\\x1B[31m\\x0Ab\\xFF");
	expect_has(&seen.text, "category 2");
	expect_has(&seen.text, "truth & co/gt.json");
	expect_has(&seen.text, "dets.jsonl:3: box <odd>");
	expect_has(&seen.text, "dets.jsonl:4: score is NaN & more");
	expect_lacks(&page, "\x1b");
	/* one of each part: gate, difference, TIDE, confusion, threshold, calibration, VOC */
	static const char *const pieces[] = {"below 0.6",
					     "\xE2\x88\x92"
					     "0.250",
					     "22.25",
					     "0.312",
					     "0.0625",
					     "0.688",
					     "36\xE2\x80\xAF"
					     "781",
					     "12\xE2\x80\xAF"
					     "345"};
	for (size_t i = 0; i < FRCNN_COUNT(pieces); i++)
		expect_has(&seen.text, pieces[i]);
	expect_has(&page, "@media screen and (prefers-color-scheme:dark)");
	expect_has(&page, "@media print");
	expect_has(&page, "<html lang=\"en\">");
	cr_expect_gt(seen.svgs, 20);
	unlook(&seen);
	frcnn_buffer_free(&page);
	unmake(&s);
}

Test(report, page_is_sensible_for_1_and_80_classes_and_2_models)
{
	static const struct {
		int classes, models;
		bool all;
		size_t limit;
	} cases[] = {
	    {1, 1, true, 48 << 10}, {1, 1, false, 32 << 10}, {80, 1, true, 224 << 10}, {3, 2, true, 128 << 10}};

	for (size_t i = 0; i < FRCNN_COUNT(cases); i++) {
		struct sample s;
		struct seen seen;
		make(&s, cases[i].classes, cases[i].models, cases[i].all);
		struct frcnn_buffer page = page_of(&s);
		check_page(&page, &seen);
		cr_expect_lt(page.size, cases[i].limit, "%d classes: %zu bytes", cases[i].classes, page.size);
		/* a single class has no table of classes, and no curves beside the one */
		cr_expect_eq(strstr(page.data, "id=\"classes") != NULL, cases[i].classes > 1);
		cr_expect_eq(strstr(page.data, "id=\"confusion") != NULL, cases[i].all);
		cr_expect_eq(strstr(page.data, "id=\"models") != NULL, cases[i].models > 1);
		unlook(&seen);
		frcnn_buffer_free(&page);
		unmake(&s);
	}
}

Test(report, page_without_classes_or_numbers)
{
	struct sample s;
	struct seen seen;

	make(&s, 1, 1, true);
	s.models[0].nclasses = 0;
	s.models[0].cells.K = 0;
	s.report.nconfusion = 0;
	for (size_t i = 0; i < s.models[0].metrics.count; i++)
		s.models[0].metrics.items[i].value = -1;
	struct frcnn_buffer page = page_of(&s);
	check_page(&page, &seen);
	expect_lacks(&seen.text, "nan");
	expect_lacks(&seen.text, "-1");
	unlook(&seen);
	frcnn_buffer_free(&page);
	s.models[0].nclasses = 1;
	unmake(&s);
}

static void expect_page_text(const char *text, size_t limit, const char *expected)
{
	struct frcnn_buffer out = {0};

	frcnn_buffer_puts(&out, "");
	frcnn_page_text(&out, text, limit);
	cr_expect_str_eq(out.data, expected);
	frcnn_buffer_free(&out);
}

Test(report, page_text_is_safe_and_short)
{
	expect_page_text("<&>\"'", 0, "&lt;&amp;&gt;&quot;&#39;");
	expect_page_text("a\x01\x7f\xc2\x85z", 0, "a\\x01\\x7F\\xC2\\x85z");
	expect_page_text("\xff\xfe", 0, "\\xFF\\xFE");
	/* U+FFFE is UTF-8 but no XML */
	expect_page_text("a\xEF\xBF\xBE\xEF\xBF\xBF", 0, "a\xEF\xBF\xBD\xEF\xBF\xBD");
	expect_page_text("caf\xC3\xA9s", 5, "caf\xC3\xA9s");
	expect_page_text("caf\xC3\xA9s!", 5, "caf\xC3\xA9\xE2\x80\xA6");
	expect_page_text("&&", 1, "\xE2\x80\xA6");
	expect_page_text("", 3, "");
}

static struct frcnn_chart small_chart(struct frcnn_buffer *out)
{
	return (struct frcnn_chart){.out = out, .width = 100, .height = 100, .x_high = 1, .y_high = 1};
}

Test(report, chart_lines_are_short_and_stay_inside)
{
	struct frcnn_buffer out = {0};
	struct frcnn_chart chart = small_chart(&out);
	const double x[] = {0, 0.1, 0.2, 0.3, 0.3, 0.3, NAN, 2}, y[] = {1, 1, 1, 1, 0.5, 0, 0.5, -7};

	frcnn_chart_line(&chart, x, y, FRCNN_COUNT(x), "s1");
	cr_expect_str_eq(out.data, "<polyline class=\"line s1\" points=\"0,0 30,0 30,100 100,100\"/>");
	frcnn_buffer_clear(&out);
	frcnn_chart_line(&chart, &x[6], &y[6], 1, "s1");
	cr_expect_eq(out.size, 0, "a line of nothing");
	frcnn_chart_box(&chart, 0.25, 0.5, -4, 9, "f1", "<t>");
	cr_expect_str_eq(
	    out.data, "<rect class=\"f1\" x=\"0\" y=\"0\" width=\"25\" height=\"50\"><title>&lt;t&gt;</title></rect>");
	frcnn_buffer_clear(&out);
	frcnn_page_bar(&out, 1.5, "f2");
	expect_has(&out, "<rect class=\"f2\" width=\"100\" height=\"10\"/>");
	frcnn_buffer_clear(&out);
	frcnn_page_bar(&out, NAN, "f2");
	expect_has(&out, "<rect class=\"f2\" width=\"0\" height=\"10\"/>");
	frcnn_buffer_free(&out);
}

Test(report, chart_axes_have_the_decimals_that_they_need)
{
	struct frcnn_buffer out = {0};
	struct frcnn_chart chart = small_chart(&out);

	chart.left = chart.bottom = 20;
	chart.y_high = 25;
	frcnn_chart_begin(&chart, "a \"b\"");
	frcnn_chart_axes(&chart, 4, 5, "across", "up & up");
	frcnn_chart_end(&chart);
	expect_has(&out, "<svg role=\"img\" viewBox=\"0 0 100 100\" aria-label=\"a &quot;b&quot;\">");
	expect_has(&out, ">0.2</text>");
	expect_has(&out, ">15</text>");
	expect_lacks(&out, ">15.0</text>");
	expect_has(&out, ">across</text>");
	expect_has(&out, ">up &amp; up</text>");
	frcnn_buffer_free(&out);
}

/* ---- arrays and curves
 * --------------------------------------------------------------------------------------------------- */

Test(report, cells_come_back_to_the_last_bit)
{
	char path[] = "/tmp/frcnn-cells-XXXXXX";
	struct frcnn_checkpoint file;
	struct frcnn_error err;
	struct sample s;
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	close(fd);
	make(&s, 3, 1, false);
	const struct frcnn_eval_cells *c = &s.models[0].cells;
	c->precision[5] = -1;
	c->precision[6] = 1 - 0x1p-52;
	c->scores[7] = NAN;
	cr_assert_eq(frcnn_report_cells(path, &s.report, &s.models[0], &err), 0, "%s", err.message);
	cr_assert_eq(frcnn_checkpoint_open(path, NULL, &file, &err), 0, "%s", err.message);
	const struct {
		const char *name;
		const double *values;
		int ndim;
		int64_t shape[5];
	} arrays[] = {{"precision", c->precision, 5, {10, 101, 3, 4, 3}},
		      {"recall", c->recall, 4, {10, 3, 4, 3}},
		      {"scores", c->scores, 5, {10, 101, 3, 4, 3}}};
	cr_expect_eq(file.ntensors, 3);
	for (size_t i = 0; i < FRCNN_COUNT(arrays); i++) {
		const struct frcnn_tensor *tensor = frcnn_checkpoint_find(&file, arrays[i].name);
		cr_assert_not_null(tensor);
		cr_expect_eq(tensor->dtype, FRCNN_F64);
		cr_assert_eq(tensor->ndim, arrays[i].ndim);
		cr_expect_eq(memcmp(tensor->shape, arrays[i].shape, (size_t)tensor->ndim * sizeof(int64_t)), 0);
		cr_expect_eq(memcmp(tensor->data, arrays[i].values, (size_t)tensor->elements * sizeof(double)), 0);
	}
	/* what the axes mean stands beside them */
	cr_assert_not_null(file.provenance);
	struct frcnn_span axes = {file.provenance, strlen(file.provenance)};
	cr_expect(frcnn_span_is(find(axes, "category_ids"), "\"[1,2,3]\""));
	cr_expect(frcnn_span_is(find(axes, "max_dets"), "\"[1,10,100]\""));
	cr_expect(frcnn_span_is(find(axes, "areas"), "\"[\\\"all\\\",\\\"small\\\",\\\"medium\\\",\\\"large\\\"]\""));
	frcnn_checkpoint_close(&file);
	cr_expect_eq(frcnn_report_cells("/nowhere/at/all", &s.report, &s.models[0], &err), FRCNN_EIO);
	cr_expect_not_null(strstr(err.message, "/nowhere/at/all"));
	unlink(path);
	unmake(&s);
}

Test(report, curves_name_every_point)
{
	struct frcnn_buffer out = {0};
	struct frcnn_error err;
	struct sample s;
	size_t lines = 0;

	make(&s, 3, 1, false);
	struct frcnn_eval_cells *c = &s.models[0].cells;
	for (int t = 0; t < 10; t++) { /* class 2 has no objects */
		for (int r = 0; r < 101; r++)
			c->precision[frcnn_render_cell(c, t, r, 1)] = -1;
	}
	c->precision[frcnn_render_cell(c, 9, 35, 2)] = 0.123;
	c->scores[frcnn_render_cell(c, 9, 35, 2)] = 0.0625;
	cr_expect_eq(frcnn_render_cell(c, 9, 35, 2), (((9 * 101 + 35) * 3 + 2) * 4 + 0) * 3 + 2);
	cr_assert_eq(frcnn_report_curves(&s.report, &out, &err), 0);
	for (const char *at = out.data; (at = strstr(at, "\r\n")) != NULL; at++)
		lines++;
	cr_expect_eq(lines, 1 + 2 * 10 * 101);
	expect_has(&out, "model,category_id,category,iou,recall,precision,score\r\n");
	/* recall as pycocotools has it, not 0.35 */
	expect_has(&out, ",0.95,0.35000000000000003,0.123,0.0625\r\n");
	frcnn_buffer_clear(&out);
	cr_assert_eq(frcnn_report_curves_json(&s.report, &out, &err), 0);
	expect_value(&out, "10/category_id", "3");
	expect_value(&out, "19/precision/35", "0.123");
	expect_value(&out, "19/score/35", "0.0625");
	expect_value(&out, "19/recall/35", "0.35000000000000003");
	expect_value(&out, "0/iou", "0.5");
	frcnn_buffer_free(&out);
	unmake(&s);
}

/* ---- memory
 * ---------------------------------------------------------------------------------------------------------------- */

static int render_any(const struct sample *s, int what, struct frcnn_buffer *out, struct frcnn_error *err)
{
	if (what <= FRCNN_REPORT_JUNIT)
		return frcnn_report_render(&s->report, (enum frcnn_report_format)what, out, err);
	if (what == FRCNN_REPORT_JUNIT + 1)
		return frcnn_report_html(&s->report, out, err);
	if (what == FRCNN_REPORT_JUNIT + 2)
		return frcnn_report_curves(&s->report, out, err);
	if (what == FRCNN_REPORT_JUNIT + 3)
		return frcnn_report_curves_json(&s->report, out, err);
	return frcnn_report_cells("/dev/null", &s->report, &s->models[0], err);
}

Test(report, refused_memory_is_an_error_everywhere)
{
	struct sample s;

	make(&s, 3, 1, true);
	add_gates(&s);
	add_baseline(&s);
	for (int what = 0; what <= FRCNN_REPORT_JUNIT + 4; what++) {
		bool refused = true;
		size_t n = 0;
		/* the first ones in turn, then with growing gaps */
		for (; refused; n += n < 60 ? 1 : n / 8) {
			struct frcnn_buffer out = {0};
			struct frcnn_error err = {0};
			refuse_allocation(n, false);
			int status = render_any(&s, what, &out, &err);
			refused = refuse_end();
			cr_expect_eq(status, refused ? FRCNN_ENOMEM : 0, "format %d, allocation %zu", what, n);
			frcnn_buffer_free(&out);
		}
		cr_expect_gt(n, 1);
	}
	unmake(&s);
}
