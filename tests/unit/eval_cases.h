/* The random evaluations of tests/golden/eval/make_coco_cases.py, made again from their number, bit for bit. */
#ifndef TESTS_UNIT_EVAL_CASES_H
#define TESTS_UNIT_EVAL_CASES_H

#include "eval/eval.h"

#define EVAL_CASES 300

/* What a case is mostly about: number % EVAL_FAMILIES. */
enum eval_family {
	EVAL_PLAIN,
	EVAL_INTEGERS,
	EVAL_TIES,
	EVAL_CROWDS,
	EVAL_STEPS, /* IoU exactly at j / 20 */
	EVAL_BOUNDS,
	EVAL_MANY, /* more than 100 detections an image and category */
	EVAL_AGNOSTIC,
	EVAL_IOUS,
	EVAL_AREAS,
	EVAL_MAX_DETS,
	EVAL_ID_ZERO,
	EVAL_DUPLICATES,
	EVAL_NOT_NUMBERS,
	EVAL_MIXED,
	EVAL_FAMILIES
};

struct eval_case_detection {
	int image, category; /* index in the ground truth's file order; category -1: one that the file lacks */
	double bbox[4], score;
};

struct eval_case {
	enum eval_family family;
	struct frcnn_ground_truth truth; /* not to be given to frcnn_ground_truth_free */
	struct eval_case_detection *detections;
	size_t ndetections;
	struct frcnn_eval_options options; /* all but .pycocotools */
	uint8_t *subset;                   /* options.categories */
};

void eval_case_make(int number, struct eval_case *out); /* aborts when memory is refused */
void eval_case_free(struct eval_case *c);
/* The boxes behind iou.txt; objects of i % 3 == 0 are crowds. */
#define EVAL_IOU_PAIRS 20000
void eval_case_ious(size_t pairs, double (*detections)[4], double (*objects)[4]);

#endif
