-- With which probability a decision was drawn for audit, and whether it was; 0 for those made before there were audits.
ALTER TABLE decisions ADD COLUMN audit_rate REAL NOT NULL DEFAULT 0;
ALTER TABLE decisions ADD COLUMN audit_drawn INTEGER NOT NULL DEFAULT 0;
CREATE INDEX decisions_to_audit ON decisions (seq) WHERE audit_drawn = 1;
CREATE INDEX outcomes_by_decision ON outcomes (decision_id);

-- Whose word a rating is: a user's or an auditor's.
ALTER TABLE feedback ADD COLUMN source TEXT NOT NULL DEFAULT 'user';
