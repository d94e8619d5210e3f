-- Which rating of a decision was its first: without it each rating is read past all others of its decision.
CREATE INDEX feedback_by_decision ON feedback (decision_id);
