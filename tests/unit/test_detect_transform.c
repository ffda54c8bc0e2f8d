#include "detect_golden.h"

Test(detect_transform, as_torchvision)
{
	struct golden golden = golden_open("transform");
	struct frcnn_workspace workspace = {0};
	struct frcnn_error err;
	struct frcnn_pool *pool;
	const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};
	cr_assert_eq(frcnn_pool_new(3, &pool, &err), 0);

	for (int i = 0; i < 7; i++) {
		const int32_t *numbers = golden_find(&golden, i, "case").i32;
		struct golden_array image = golden_find(&golden, i, "image"), out = golden_find(&golden, i, "out");
		struct frcnn_view view = {image.u8, numbers[0], numbers[1], 3 * (size_t)numbers[0]};
		struct frcnn_transform_size size;
		cr_assert_eq(frcnn_transform_size(view.width, view.height, numbers[2], numbers[3], &size, &err), 0);
		cr_assert_eq(size.width, numbers[4]);
		cr_assert_eq(size.height, numbers[5]);
		cr_assert_eq(size.padded_width, numbers[6]);
		cr_assert_eq(size.padded_height, numbers[7]);

		size_t row = 3 * (size_t)size.width, padded = 3 * (size_t)size.padded_width;
		size_t floats = padded * (size_t)size.padded_height;
		float *ours = malloc(floats * sizeof(float)), *alone = malloc(floats * sizeof(float));
		memset(ours, 0xff, floats * sizeof(float)); /* NaN: what is not written shows */
		memset(alone, 0xff, floats * sizeof(float));
		cr_assert_eq(frcnn_transform(pool, &view, &size, mean, std, &workspace, ours, &err), 0);
		cr_assert_eq(frcnn_transform(NULL, &view, &size, mean, std, &workspace, alone, &err), 0);
		cr_assert_arr_eq(ours, alone, floats * sizeof(float), "case %d depends on the threads", i);
		for (int y = 0; y < size.padded_height; y++) {
			size_t used = y < size.height ? row : 0;
			if (used)
				cr_assert_leq(golden_error(ours + (size_t)y * padded, out.f32 + (size_t)y * row, row),
					      1e-5, "case %d", i);
			for (size_t x = used; x < padded; x++)
				cr_assert_eq(ours[(size_t)y * padded + x], 0.0f, "case %d is not padded with zeros", i);
		}
		free(ours);
		free(alone);
	}
	frcnn_pool_free(pool);
	frcnn_workspace_free(&workspace);
	frcnn_file_close(&golden.file);
}

Test(detect_transform, part_of_a_picture)
{
	enum { W = 40, H = 30, X = 7, Y = 5, PW = 21, PH = 17 };
	uint8_t whole[W * H * 3], part[PW * PH * 3];
	uint64_t state = 1;
	for (size_t i = 0; i < sizeof(whole); i++)
		whole[i] = (uint8_t)golden_random(&state);
	for (int y = 0; y < PH; y++)
		memcpy(part + y * PW * 3, whole + ((Y + y) * W + X) * 3, PW * 3);
	struct frcnn_view inside = {whole + (Y * W + X) * 3, PW, PH, W * 3}, alone = {part, PW, PH, PW * 3};
	struct frcnn_transform_size size;
	struct frcnn_workspace workspace = {0};
	const float mean[3] = {0.5f, 0.5f, 0.5f}, std[3] = {1, 1, 1};
	cr_assert_eq(frcnn_transform_size(PW, PH, 32, 50, &size, NULL), 0);
	size_t floats = 3 * (size_t)size.padded_width * (size_t)size.padded_height;
	float *a = malloc(floats * sizeof(float)), *b = malloc(floats * sizeof(float));
	cr_assert_eq(frcnn_transform(NULL, &inside, &size, mean, std, &workspace, a, NULL), 0);
	cr_assert_eq(frcnn_transform(NULL, &alone, &size, mean, std, &workspace, b, NULL), 0);
	cr_assert_arr_eq(a, b, floats * sizeof(float));
	free(a);
	free(b);
	frcnn_workspace_free(&workspace);
}

Test(detect_transform, sizes)
{
	struct frcnn_transform_size size;
	struct frcnn_error err;
	cr_assert_eq(frcnn_transform_size(640, 480, 800, 1333, &size, &err), 0);
	cr_assert_eq(size.width, 1066);
	cr_assert_eq(size.height, 800);
	cr_assert_eq(size.padded_width, 1088);
	cr_assert_eq(size.padded_height, 800);

	cr_assert_eq(frcnn_transform_size(2000, 2, 800, 800, &size, &err), FRCNN_EINVAL);
	cr_assert_not_null(strstr(err.message, "2000 x 2"), "%s", err.message);
	cr_assert_not_null(strstr(err.message, "800 x 0"), "%s", err.message);
	cr_assert_eq(frcnn_transform_size(0, 2, 800, 800, &size, &err), FRCNN_EINVAL);
	cr_assert_eq(frcnn_transform_size(5, 2, 0, 800, &size, &err), FRCNN_EINVAL);
}
