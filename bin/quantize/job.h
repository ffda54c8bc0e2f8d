/*
 * quantize - parts of frcnn-quantize: what one run was asked for and what it has so far. Pictures become sets in
 * sets.c, options a plan in plan.c, layers are left float for the gates by search.c, accuracy is
 * helped by refine.c, the run itself is run.c, what it
 * found out is shown by show.c. Never installed, and no other program links it.
 */
#ifndef FRCNN_QUANTIZE_JOB_H
#define FRCNN_QUANTIZE_JOB_H

#include "cli/cli.h"
#include "eval/options.h"
#include "quant/measure.h"
#include "quant/quant.h"
#include "quant/search.h"
#include "record/record.h"

/* What a picture is like; a calibration picture far from the report's is worth a warning. */
enum { QUANTIZE_BRIGHTNESS, QUANTIZE_CONTRAST, QUANTIZE_SIZE, QUANTIZE_LOOKS };

struct quantize_image {
	struct frcnn_input *input; /* borrowed */
	char sha256[65];           /* of the file's bytes */
	size_t truth;              /* index in the ground truth; SIZE_MAX: not in it, or there is none */
	bool failed;               /* could not be decoded: reported once, left out */
	bool seen;                 /* looks are set */
	double looks[QUANTIZE_LOOKS];
	int status; /* of reading it */
	struct frcnn_error err;
};

/* In ascending order of sha256. */
struct quantize_set {
	const char *name;
	struct quantize_image *images;
	size_t count;
	char sha256[65]; /* of the digests, a line each */
};
enum { QUANTIZE_CALIBRATION, QUANTIZE_SEARCH, QUANTIZE_REPORT, QUANTIZE_SETS };

enum { QUANTIZE_TEXT, QUANTIZE_JSON, QUANTIZE_MARKDOWN };

struct quantize_job {
	/* options */
	const char *model_path, *arch, *weights_key, *anchors, *anchor_sizes, *aspect_ratios, *labels_path;
	struct frcnn_reals mean, std;
	double bn_eps, holdout, max_float;
	int min_size, max_size;
	const char *truth_path, *image_root, *measure_truth_path, *measure_root;
	const char *plan_path, *write_plan_path, *report_path, *output_path, *cpu;
	struct frcnn_list keep_float;
	struct eval_gates gates;
	int calibration_images, weight_bits, format, threads;
	int64_t max_pixels;
	bool null_list, exif, quantize_all, sensitivity, no_equalize, adaround, progress;
	int observer; /* an enum frcnn_quant_observer, as the option lists them */
	const struct frcnn_program *program;

	/* sets.c */
	struct frcnn_inputs inputs, measure_inputs;
	struct frcnn_ground_truth truth; /* of the report set */
	bool has_truth;
	struct frcnn_ground_truth own_search_truth;          /* where --measure-gt gives the report's */
	const struct frcnn_ground_truth *search_truth;       /* or NULL */
	struct quantize_image *pool_images, *measure_images; /* of inputs, of measure_inputs */
	struct quantize_set sets[QUANTIZE_SETS];
	size_t duplicates, overlap, unused; /* copies left out; operands that are measured; not needed */
	size_t failed;                      /* pictures and lines that were reported and left out */
	char search_truth_sha256[65];       /* of the file that search_truth is from; "": none */

	/* run.c */
	struct frcnn_pool *pool;
	struct frcnn_labels labels;
	char *sizes; /* the first half of --anchors */
	struct frcnn_model *model;
	struct frcnn_detector *detector;
	/* What the int8 model is made from, and the detector over while it is made, where equalization changed
	 * anything. */
	struct frcnn_quant_model equalized;
	struct frcnn_equalization equalization;
	struct frcnn_quant_plan plan;
	bool *locked;         /* one a layer: float whatever is measured, by --plan or --keep-float */
	char plan_sha256[65]; /* of --plan; "": none */
	size_t sensed;        /* pictures that each layer was looked at alone with; 0: that was not done */
	struct frcnn_quant_trail trail;
	bool searched; /* trail is set */
	bool excused;  /* the search could not judge every gate */
	struct frcnn_quant_warning *quant_warnings;
	size_t nquant_warnings;
	struct frcnn_list warnings;                  /* lines of our own, as they were printed */
	struct frcnn_output output, page, plan_file; /* page: of --report */
	struct frcnn_cost *cost;
	struct frcnn_report *report; /* of cost; NULL: nothing was measured */
	int64_t bytes[2];            /* of the files: float, int8; 0: not known */
	struct frcnn_samples seconds[2];
	bool written;
};

/* A warning: printed, and kept for the report. */
void quantize_warn(struct quantize_job *job, const char *format, ...) FRCNN_PRINTF(2, 3);

/* ---- sets.c -------------------------------------------------------------------------------------------------- */

/* Names, digests, ground truth, the three sets; whether there is what gates are on. Trouble with one picture is
 * reported and counted. -1: go on; else an exit status, all having been said. */
int quantize_make_sets(struct quantize_job *job, char **operands, int count);
/* found and shift: the int8 model's agreement with the float model, which needs no ground truth. */
bool quantize_is_agreement(const char *metric);
/* Whether any gate needs ground truth, as all do but those. */
bool quantize_needs_truth(const struct quantize_job *job);
/* Fills looks. */
void quantize_look(struct quantize_image *image, const struct frcnn_image *picture);
/* Warns of calibration pictures that are unlike the report's. */
void quantize_compare_looks(struct quantize_job *job);

/* ---- plan.c -------------------------------------------------------------------------------------------------- */

/* The default plan or every layer, then --plan, then --keep-float, then --max-float. */
int quantize_make_plan(struct quantize_job *job, struct frcnn_error *err);
int quantize_write_plan(struct quantize_job *job, struct frcnn_error *err);
extern const char quantize_int8[], quantize_float[]; /* dtypes as plans name them */

/* ---- search.c ------------------------------------------------------------------------------------------------ */

/* Whether the search set has enough pictures to choose anything by. */
bool quantize_can_search(const struct quantize_job *job);
/* What becomes of the gates there, as "fail". */
const char *quantize_search_verdict(const struct quantize_job *job, bool holds);
/* Changes the plan, whose inputs are chosen, until the gates hold on the search set; and layers' sensitivity. */
int quantize_search(struct quantize_job *job, const struct frcnn_quantizer *quantizer, struct frcnn_error *err);

/* ---- refine.c ------------------------------------------------------------------------------------------------ */

/* Sets equalization, and where that changed anything equalized, to which the detector changes. */
int quantize_equalize(struct quantize_job *job, struct frcnn_error *err);
/* The detector is over the model again, as it was given. */
int quantize_forget_equalized(struct quantize_job *job, struct frcnn_error *err);
/* Rounds the weights of the plan's int8 layers anew, by what the detector, over model, sees of the calibration set. */
int quantize_round(struct quantize_job *job, const struct frcnn_model *model,
		   const struct frcnn_calibration *calibration, struct frcnn_quantizer *quantizer,
		   struct frcnn_error *err);

/* ---- run.c --------------------------------------------------------------------------------------------------- */

void quantize_detector_options(const struct quantize_job *job, struct frcnn_detector_options *out);
int quantize_make_detector(const struct quantize_job *job, const struct frcnn_model *model, const char *path,
			   struct frcnn_detector **out, struct frcnn_error *err);
/* 1: decoded; 0: cannot be, reported the first time; < 0: memory. */
int quantize_take_picture(struct quantize_job *job, struct quantize_image *image, struct frcnn_decoded *out,
			  struct frcnn_error *err);
/* A picture that the detector refuses (a side that becomes 0) is that picture's trouble, as in frcnn-detect. */
void quantize_leave_out(struct quantize_job *job, struct quantize_image *image, const struct frcnn_error *why);
typedef int quantize_visitor(void *context, const struct frcnn_image *image, struct frcnn_error *err);
/* Shows the pictures of a set, at most so many, in their order; *done grows with the progress. */
int quantize_visit(struct quantize_job *job, int set, size_t most, quantize_visitor *visit, void *context, size_t *done,
		   struct frcnn_error *err);
/* Both passes over at most so many of the calibration set, and the third over so many others, of the search set. */
int quantize_calibrate(struct quantize_job *job, struct frcnn_calibration *calibration, size_t most, size_t others,
		       struct frcnn_error *err);
/* Model and plan; -1: go on; else an exit status, all having been said. */
int quantize_open(struct quantize_job *job);
/* What the report set's detections are added to. */
int quantize_new_cost(const struct quantize_job *job, struct frcnn_cost **out, struct frcnn_error *err);
/* Everything between the sets and the last line; the exit status. */
int quantize_run(struct quantize_job *job);
void quantize_job_free(struct quantize_job *job);

/* ---- show.c -------------------------------------------------------------------------------------------------- */

/* Appends what was found out in job->format. status: the exit status that follows. */
int quantize_show(struct quantize_job *job, int status, struct frcnn_buffer *out, struct frcnn_error *err);
/* "17 of 20 int8, 3.1% of the multiply-adds float" */
void quantize_sum_up(const struct frcnn_quant_plan *plan, struct frcnn_buffer *out);
/* AP, AP50, AP75: what stands before all other metrics. */
bool quantize_is_headline(const char *metric);

/* ---- page.c -------------------------------------------------------------------------------------------------- */

/* The same as one HTML page. */
int quantize_page(struct quantize_job *job, int status, struct frcnn_buffer *out, struct frcnn_error *err);

#endif
