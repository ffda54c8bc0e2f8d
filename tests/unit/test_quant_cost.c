/* found, shift and the cost of quantization on detections that are made up, so that every number is known. */
#include <criterion/criterion.h>

#include "quant/measure.h"
#include "refuse.h"

#include <math.h>

static struct frcnn_detections list(struct frcnn_detection *items, size_t count)
{
	return (struct frcnn_detections){.count = count, .items = items};
}

static struct frcnn_agreement agree(struct frcnn_detection *before, size_t nbefore, struct frcnn_detection *after,
				    size_t nafter)
{
	struct frcnn_agreement sums = {0};
	struct frcnn_detections a = list(before, nbefore), b = list(after, nafter);

	cr_assert_eq(frcnn_agreement_add(&sums, &a, &b, NULL), 0);
	return sums;
}

Test(quant_cost, equal_lists_agree)
{
	struct frcnn_detection items[] = {{0, 0, 10, 10, 0.75f, 1}, {20, 0, 30, 10, 0.5f, 2}};
	struct frcnn_agreement sums = agree(items, 2, items, 2);

	cr_expect_eq(sums.wanted, 2);
	cr_expect_eq(frcnn_agreement_found(&sums), 1);
	cr_expect_eq(frcnn_agreement_shift(&sums), 0);
}

Test(quant_cost, only_sure_detections_are_wanted_and_any_score_counts_as_found)
{
	struct frcnn_detection before[] = {
	    {0, 0, 10, 10, 0.75f, 1}, {20, 0, 30, 10, 0.5f, 1}, {40, 0, 50, 10, 0.4999f, 1}};
	struct frcnn_detection after[] = {{20, 0, 30, 10, 0.625f, 1}, {0, 0, 10, 10, 0.0625f, 1}};
	struct frcnn_agreement sums = agree(before, 3, after, 2);

	cr_expect_eq(sums.wanted, 2);
	cr_expect_eq(sums.found, 2);
	cr_expect_eq(frcnn_agreement_shift(&sums), (0.6875 + 0.125) / 2);
}

Test(quant_cost, another_class_or_a_box_that_moved_is_not_found)
{
	struct frcnn_detection before[] = {{0, 0, 10, 10, 0.75f, 1}};
	struct frcnn_detection other[] = {{0, 0, 10, 10, 0.75f, 2}};
	/* 9 of 10 columns: IoU is exactly 0.9, and enough; less is not */
	struct frcnn_detection edge[] = {{0, 0, 9, 10, 0.75f, 1}}, beyond[] = {{0, 0, 8.9f, 10, 0.75f, 1}};
	struct frcnn_agreement sums = agree(before, 1, other, 1);

	cr_expect_eq(frcnn_agreement_found(&sums), 0);
	cr_expect_eq(frcnn_agreement_shift(&sums), -1);
	sums = agree(before, 1, edge, 1);
	cr_expect_eq(frcnn_agreement_found(&sums), 1);
	sums = agree(before, 1, beyond, 1);
	cr_expect_eq(frcnn_agreement_found(&sums), 0);
	sums = agree(before, 1, NULL, 0);
	cr_expect_eq(frcnn_agreement_found(&sums), 0);
}

Test(quant_cost, counterparts_are_one_to_one_and_the_nearest)
{
	struct frcnn_detection before[] = {{0, 0, 100, 10, 0.875f, 1}, {0, 0, 100, 10, 0.75f, 1}};
	struct frcnn_detection one[] = {{0, 0, 100, 10, 0.75f, 1}};
	struct frcnn_detection two[] = {{0, 0, 95, 10, 0.75f, 1}, {0, 0, 100, 10, 0.625f, 1}};
	struct frcnn_agreement sums = agree(before, 2, one, 1);

	cr_expect_eq(sums.wanted, 2);
	cr_expect_eq(sums.found, 1);
	cr_expect_eq(frcnn_agreement_shift(&sums), 0.125);
	sums = agree(before, 2, two, 2);
	cr_expect_eq(sums.found, 2);
	/* the first takes the second, the second what is left */
	cr_expect_eq(frcnn_agreement_shift(&sums), (0.25 + 0) / 2);
}

Test(quant_cost, boxes_without_area_and_nothing_wanted)
{
	struct frcnn_detection flat[] = {{5, 5, 5, 5, 0.75f, 1}};
	struct frcnn_agreement sums = agree(flat, 1, flat, 1), none = {0};

	cr_expect_eq(sums.found, 0);
	cr_expect_eq(frcnn_agreement_found(&none), -1);
	cr_expect_eq(frcnn_agreement_shift(&none), -1);
}

/* ---- with ground truth ------------------------------------------------------------------------------------------ */

static const char instances[] =
    "{\"images\":[{\"id\":9,\"file_name\":\"a.png\"},{\"id\":4,\"file_name\":\"b.png\"},"
    "{\"id\":7,\"file_name\":\"c.png\"}],"
    "\"categories\":[{\"id\":1,\"name\":\"cat\"},{\"id\":2,\"name\":\"dog\"}],"
    "\"annotations\":[{\"id\":1,\"image_id\":9,\"category_id\":1,\"bbox\":[0,0,10,10],\"area\":100,\"iscrowd\":0},"
    "{\"id\":2,\"image_id\":4,\"category_id\":2,\"bbox\":[20,0,10,10],\"area\":100,\"iscrowd\":0},"
    "{\"id\":3,\"image_id\":7,\"category_id\":2,\"bbox\":[20,0,10,10],\"area\":100,\"iscrowd\":0}]}";

struct setup {
	struct frcnn_ground_truth truth;
	struct frcnn_model model;
	char *names[3];
	int64_t categories[3];
};

static void set_up(struct setup *setup)
{
	memset(setup, 0, sizeof *setup);
	cr_assert_eq(frcnn_ground_truth_parse(instances, sizeof instances - 1, "gt", false, NULL, &setup->truth, NULL),
		     0);
	setup->names[1] = "cat";
	setup->names[2] = "dog";
	setup->categories[1] = 1;
	setup->categories[2] = 2;
	setup->model.description.nlabels = 3;
	setup->model.description.label_names = setup->names;
	setup->model.description.label_categories = setup->categories;
}

static struct frcnn_cost *cost_of(struct setup *setup, const size_t *images, bool spoiled)
{
	struct frcnn_detection cat[] = {{0, 0, 10, 10, 0.75f, 1}}, dog[] = {{20, 0, 30, 10, 0.75f, 2}};
	struct frcnn_detection bad[] = {{40, 40, 50, 50, 0.75f, 2}};
	struct frcnn_detections cats = list(cat, 1), dogs = list(dog, 1), bads = list(bad, 1);
	struct frcnn_cost *cost;

	cr_assert_eq(frcnn_cost_new(&setup->model, &setup->truth, "gt", images, 2, &cost, NULL), 0);
	cr_assert_eq(frcnn_cost_add(cost, 1, &dogs, spoiled ? &bads : &dogs, NULL), 0);
	cr_assert_eq(frcnn_cost_add(cost, 0, &cats, &cats, NULL), 0);
	return cost;
}

/* Two of three images are measured: the third one's dog is nobody's miss. */
Test(quant_cost, ap_is_that_of_the_measured_images)
{
	const size_t images[] = {0, 1};
	struct setup setup;
	struct frcnn_cost *cost;
	struct frcnn_report *report;
	bool dog = false;

	set_up(&setup);
	cost = cost_of(&setup, images, true);
	cr_assert_eq(frcnn_cost_finish(cost, 20, 1, NULL, &report, NULL), 0);
	cr_expect_eq(frcnn_cost_images(cost), 2);
	cr_expect_eq(frcnn_cost_known(cost), 2);
	cr_expect_float_eq(report->baseline->stats[0], 1, 1e-12);
	cr_expect_float_eq(report->models[0].stats[0], 0.5, 1e-12);
	cr_expect_eq(frcnn_report_metric_find(&report->models[0].metrics, "found")->value, 0.5);
	cr_expect_eq(frcnn_report_metric_find(&report->models[0].metrics, "shift")->value, 0);
	for (size_t i = 0; i < report->models[0].ndifferences; i++) {
		const struct frcnn_report_difference *d = &report->models[0].differences[i];

		if (strcmp(d->name, "dog:AP") != 0)
			continue;
		dog = true;
		cr_expect_float_eq(d->d.difference, -1, 1e-12);
		cr_expect(d->has_interval);
	}
	cr_expect(dog);
	frcnn_cost_free(cost);
	frcnn_ground_truth_free(&setup.truth);
}

/* An image that the ground truth does not know counts for found and shift alone. */
Test(quant_cost, unknown_images_have_no_ap)
{
	const size_t none[] = {SIZE_MAX, SIZE_MAX}, one[] = {SIZE_MAX, 1};
	struct setup setup;
	struct frcnn_cost *cost;
	struct frcnn_report *report;

	set_up(&setup);
	cost = cost_of(&setup, none, false);
	cr_assert_eq(frcnn_cost_finish(cost, 20, 1, NULL, &report, NULL), 0);
	cr_expect_eq(frcnn_cost_known(cost), 0);
	cr_expect_null(frcnn_report_metric_find(&report->models[0].metrics, "AP"));
	cr_expect_eq(frcnn_report_metric_find(&report->models[0].metrics, "found")->value, 1);
	frcnn_cost_free(cost);
	cost = cost_of(&setup, one, false);
	cr_assert_eq(frcnn_cost_finish(cost, 0, 1, NULL, &report, NULL), 0);
	cr_expect_eq(frcnn_cost_images(cost), 2);
	cr_expect_eq(frcnn_cost_known(cost), 1);
	cr_expect_float_eq(report->models[0].stats[0], 1, 1e-12);
	frcnn_cost_free(cost);
	frcnn_ground_truth_free(&setup.truth);
}

static void judge(const char *text, enum frcnn_gate_kind kind, int status, const char *message)
{
	const size_t images[] = {0, 1};
	struct setup setup;
	struct frcnn_cost *cost;
	struct frcnn_report *report;
	struct frcnn_gate gate;

	set_up(&setup);
	cost = cost_of(&setup, images, true);
	cr_assert_eq(frcnn_cost_finish(cost, 0, 1, NULL, &report, NULL), 0);
	cr_assert_eq(frcnn_gate_parse(text, kind, &gate, NULL), 0);
	report->gates = &gate;
	report->ngates = 1;
	cr_assert_eq(frcnn_gates_judge(report, false, NULL), 0);
	cr_expect_eq(report->status, status, "%s: %d", text, report->status);
	cr_expect_str_eq(report->results[0].message, message);
	frcnn_gate_free(&gate);
	frcnn_cost_free(cost);
	frcnn_ground_truth_free(&setup.truth);
}

Test(quant_cost, gates)
{
	judge("found=0.5", FRCNN_GATE_MIN, 0, "found is 0.5, at least 0.5");
	judge("found=0.75", FRCNN_GATE_MIN, 1, "found is 0.5, below 0.75");
	judge("shift=0", FRCNN_GATE_MAX, 0, "shift is 0, at most 0");
	judge("found=0.25", FRCNN_GATE_MAX, 1, "found is 0.5, above 0.25");
	judge("cat:AP=0", FRCNN_GATE_MAX_DROP, 0, "cat:AP fell by 0, at most 0");
	judge("cow:AP=0", FRCNN_GATE_MAX_DROP, 2, "cow:AP: no class \"cow\"");
	judge("nothing=0", FRCNN_GATE_MAX, 2, "nothing: no metric \"nothing\"");
}

/* Each allocation refused in turn: an error, nothing lost (the sanitizer looks). */
Test(quant_cost, refused_memory)
{
	const size_t images[] = {0, 1};
	struct frcnn_detection cat[] = {{0, 0, 10, 10, 0.75f, 1}};
	struct frcnn_detections cats = list(cat, 1);
	struct setup setup;
	bool refused = true;

	set_up(&setup);
	for (size_t n = 0; refused; n++) {
		struct frcnn_cost *cost = NULL;
		struct frcnn_report *report;
		int status;

		refuse_allocation(n, true);
		status = frcnn_cost_new(&setup.model, &setup.truth, "gt", images, 2, &cost, NULL);
		if (status == 0)
			status = frcnn_cost_add(cost, 0, &cats, &cats, NULL);
		if (status == 0)
			status = frcnn_cost_finish(cost, 0, 1, NULL, &report, NULL);
		refused = refuse_end();
		cr_assert_eq(status, refused ? FRCNN_ENOMEM : 0, "allocation %zu", n);
		frcnn_cost_free(cost);
	}
	frcnn_ground_truth_free(&setup.truth);
}
