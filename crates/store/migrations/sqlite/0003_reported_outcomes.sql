-- Outcomes that callers report of decisions which they carried out themselves: the gateway made no attempt for these.
CREATE INDEX reported_outcomes ON outcomes (decision_id) WHERE attempts = 0;
