//! What a run makes between its steps besides checkpoints: pictures, figures of test images, and its page.

use super::checkpoint;
use super::health::deviation;
use super::provenance::Unfinished;
use super::run::{Phase, TrainError};
use super::testing::Testing;
use super::together::Next;
use super::under_way::Loop;
use crate::data;
use crate::words::four;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Images of the data that samples are held against.
const JUDGED: usize = 256;
/// Steps before which samples may well be the same.
const RIPE: u64 = 200;

impl Loop<'_> {
    /// Draws and measures what was due at the step that the run goes on from, where whoever stopped it there did not wait
    /// for it.
    pub(super) fn make_up(&mut self) -> Result<(), TrainError> {
        let Some(Unfinished { picture, figures, .. }) = self.unfinished.take() else { return Ok(()) };
        let pause = Instant::now();
        let _pausing = self.pausing(true);
        if picture {
            self.draw()?;
        }
        if figures {
            self.measure()?;
        }
        self.watch.pause(pause);
        Ok(())
    }

    /// Writes down that it is to be made up for.
    fn leave(&mut self, what: Unfinished) {
        let step = self.step;
        self.run.note(|sitting| {
            let before = sitting.unfinished.take().filter(|before| before.step == step).unwrap_or_default();
            sitting.unfinished = Some(Unfinished {
                step,
                picture: before.picture || what.picture,
                figures: before.figures || what.figures,
            });
        });
    }

    /// Draws a picture of samples. A picture that fails is no reason to stop.
    pub(super) fn draw(&mut self) -> Result<(), TrainError> {
        self.sampled = Some(self.step);
        let samples = self.run.config.train.samples;
        if self.hooks.sampler.is_some() {
            self.share(Next::Draw, samples)?;
        }
        let path = self.run.samples().join(format!("step-{}.png", self.step));
        let Some(sampler) = &mut self.hooks.sampler else { return Ok(()) };
        (self.hooks.phase)(Phase::Drawing);
        let start = Instant::now();
        let drawn = match self.session.go_to(self.step) {
            Ok(()) => self.session.with_averages(|session| sampler(session, samples, &path)),
            Err(error) => Err(error.into()),
        };
        self.session.share_work(None);
        (self.hooks.phase)(Phase::Training);
        match drawn {
            Err(_) if self.hooks.stop.load(Ordering::Relaxed) => {
                self.log.say(&format!("the picture of step {} is left, as the run is to stop", self.step));
                self.leave(Unfinished { picture: true, ..Unfinished::default() });
            }
            Err(error) => self.log.say(&format!("no picture of samples at step {}: {error}", self.step)),
            Ok(spread) => {
                self.followers.each(&mut self.log, |log| log.picture(self.step, &path));
                if let Some(watch) = self.log.watch() {
                    watch.drawn(self.step, &path);
                }
                self.judge(spread);
            }
        }
        self.drew = self.drew.max(start.elapsed());
        self.pictures.took(start.elapsed());
        Ok(())
    }

    /// Says so where samples that spread so much are nearly the same.
    fn judge(&mut self, spread: Option<f64>) {
        let ripe = self.step >= RIPE && 3 * self.step >= self.total;
        let Some(spread) = spread else { return };
        let split = &self.images.split;
        let data = *self.spread.get_or_insert_with(|| {
            let images: Vec<u32> = data::spread(JUDGED, split.len()).into_iter().map(|i| i as u32).collect();
            deviation(&split.gather(&images, 0.0, 1.0), images.len())
        });
        if let Some(warning) = self.health.samples(self.step, spread, data, ripe) {
            self.log.warn(&warning);
        }
    }

    /// Draws what else the model can do. Pictures that fail are no reason to stop.
    pub(super) fn view(&mut self) -> Result<(), TrainError> {
        if self.hooks.views.is_some() {
            self.share(Next::View, 0)?;
        }
        let Some(views) = &mut self.hooks.views else { return Ok(()) };
        (self.hooks.phase)(Phase::Drawing);
        let (test, folder) = (&self.test, self.run.samples());
        let drawn = match self.session.go_to(self.step) {
            Ok(()) => self.session.with_averages(|session| views(session, test, &folder)),
            Err(error) => Err(error.into()),
        };
        self.session.share_work(None);
        (self.hooks.phase)(Phase::Training);
        if let Err(error) = drawn {
            self.log.say(&format!("no pictures beside the samples at step {}: {error}", self.step));
        }
        Ok(())
    }

    /// Whether figures of test images are due.
    pub(super) fn is_measured(&self) -> bool {
        let active = self.watch.now().active;
        self.testing.as_ref().is_some_and(|testing| testing.due(self.step, self.total, active))
    }

    /// Measures the model on test images, and keeps the checkpoint that does best. Figures that
    /// cannot be had are no reason to stop, and told of once.
    pub(super) fn measure(&mut self) -> Result<(), TrainError> {
        if let (Some(_), Some(testing)) = (&self.hooks.evaluate, &self.testing) {
            self.share(Next::Measure, testing.images)?;
        }
        let (Some(evaluate), Some(mut testing)) = (&mut self.hooks.evaluate, self.testing.take()) else {
            return Ok(());
        };
        let start = Instant::now();
        (self.hooks.phase)(Phase::Drawing);
        let Testing { split, data, images, .. } = &testing;
        let figures = match self.session.go_to(self.step) {
            Ok(()) => self.session.with_averages(|session| evaluate(session, split, data, *images)),
            Err(error) => Err(error.into()),
        };
        self.session.share_work(None);
        (self.hooks.phase)(Phase::Training);
        let figures = match figures {
            Ok(figures) if figures.is_empty() => return Ok(()),
            Ok(figures) => figures,
            Err(_) if self.hooks.stop.load(Ordering::Relaxed) => {
                self.log.say(&format!("the figures of step {} are left, as the run is to stop", self.step));
                self.leave(Unfinished { figures: true, ..Unfinished::default() });
                return Ok(());
            }
            Err(error) => {
                self.log.say(&format!("no figures of test images: {error}"));
                return Ok(());
            }
        };
        let told: Vec<String> = figures.iter().map(|f| format!("{} {}", f.name, four(f.value))).collect();
        let now = (self.step, self.watch.now().wall);
        let best = testing.record(now, &figures).map_err(|e| self.stopped(e))?;
        self.followers.each(&mut self.log, |log| log.tests(now, &figures));
        let words = if best { "; best" } else { "" };
        if let Some(watch) = self.log.watch() {
            watch.tested(self.step, &figures, best);
        }
        self.log.say(&format!("step {}: {} ({}{words})", self.step, told.join("  "), testing.basis()));
        if best {
            let batch = self.run.config.train.batch;
            // What is wrong with it is told where the run itself is saved.
            let _ = checkpoint::save(&self.run.best(), &self.session, self.step, batch);
        }
        testing.took(start.elapsed());
        self.testing = Some(testing);
        Ok(())
    }

    /// Makes a page about the run. One that fails is no reason to stop, and told of once.
    pub(super) fn report(&mut self, ends: bool) {
        let Some(report) = &mut self.hooks.report else { return };
        if let Err(error) = report(&self.run, ends) {
            self.hooks.report = None;
            self.log.say(&format!("there is no page about this run: {error}"));
        }
    }
}
