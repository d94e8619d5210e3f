-- What would have been on routes that are only observed: docs/log.md says what each column is.
ALTER TABLE rollups ADD COLUMN observed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN observed_baseline_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_saving_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_correction_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_supported_micro INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_predicted_micro INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_labels INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_tried INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollups ADD COLUMN plan_label_micro INTEGER NOT NULL DEFAULT 0;
