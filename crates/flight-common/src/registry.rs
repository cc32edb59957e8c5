//! The steps of one process, by name, behind one face: several steps behind one server, or inside one command.

use crate::command::StepCommand;
use crate::dataset::{Dataset, ReadFile, Written};
use crate::describe::{Effects, StepDescription, StepSpec};
use crate::fault::Fault;
use crate::params::{ParamsSchema, did_you_mean, refuse_secrets};
use crate::step::{InputSchemas, Inputs, Outputs, Step, StepContext, StepEnv};
use arrow::datatypes::{DataType, SchemaRef};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;

/// A step whose parameters are JSON: what the server and the engine hold.
pub trait AnyStep: Send + Sync + 'static {
    /// Its fixed facts.
    fn spec(&self) -> StepSpec;

    /// Its description.
    fn description(&self) -> &Arc<StepDescription>;

    /// Reads the parameters, checks the inputs, and plans.
    fn plan<'a>(
        &'a self,
        params: &'a Value,
        inputs: &'a InputSchemas,
        env: &'a StepEnv,
    ) -> BoxFuture<'a, Result<PlannedStep, Fault>>;
}

/// A step planned and ready to run.
pub struct PlannedStep {
    /// Its fixed facts.
    pub spec: StepSpec,
    /// The schema of each output.
    pub outputs: Vec<SchemaRef>,
    /// What identifies the source of an extract, or what a load writes.
    pub source: Option<String>,
    /// The data outside the pipeline that it reads or writes.
    pub datasets: Vec<Dataset>,
    /// The files that it reads.
    pub reads: Vec<ReadFile>,
    /// What it writes, each file and table by itself.
    pub writes: Vec<Written>,
    /// What it does to the world with these parameters.
    pub effects: Effects,
    start: Start,
}

type Start = Box<dyn FnOnce(Inputs, &StepContext) -> Result<Outputs, Fault> + Send>;

impl PlannedStep {
    /// Builds the output streams. Nothing runs until they are polled.
    ///
    /// # Errors
    /// The step's own, before the first row.
    pub fn start(self, inputs: Inputs, context: &StepContext) -> Result<Outputs, Fault> {
        (self.start)(inputs, context).map_err(|fault| fault.step(self.spec.name))
    }
}

struct Erased<S> {
    step: Arc<S>,
    description: Arc<StepDescription>,
}

impl<S: Step> AnyStep for Erased<S> {
    fn spec(&self) -> StepSpec {
        self.step.spec()
    }

    fn description(&self) -> &Arc<StepDescription> {
        &self.description
    }

    fn plan<'a>(
        &'a self,
        params: &'a Value,
        inputs: &'a InputSchemas,
        env: &'a StepEnv,
    ) -> BoxFuture<'a, Result<PlannedStep, Fault>> {
        async move {
            let spec = self.step.spec();
            let named = |fault: Fault| fault.step(spec.name);
            let names = spec.input_names(inputs.names()).map_err(named)?;
            if inputs.len() != names.len() {
                return Err(named(wrong_inputs(&spec, inputs.len())));
            }
            let params: S::Params = self.description.params_schema.parse(params).map_err(named)?;
            let inputs = inputs.clone().called(&names);
            let planned = self.step.plan(params, &inputs, env).await.map_err(named)?;
            let (step, run) = (self.step.clone(), planned.run);
            Ok(PlannedStep {
                spec,
                outputs: planned.outputs,
                source: planned.source,
                datasets: planned.datasets,
                reads: planned.reads,
                writes: planned.writes,
                effects: planned.effects.unwrap_or(spec.effects),
                start: Box::new(move |inputs, context| step.process(run, inputs, context)),
            })
        }
        .boxed()
    }
}

fn wrong_inputs(spec: &StepSpec, given: usize) -> Fault {
    let wanted = match spec.inputs {
        _ if spec.takes_any_inputs() => "takes one input, or several with a name for each".to_owned(),
        [] => "takes no input".to_owned(),
        [one] => format!("takes one input ({one})"),
        many => format!("takes {} inputs ({})", many.len(), many.join(", ")),
    };
    Fault::bad_schema(format!("{} {wanted}, got {given}", spec.name))
}

/// Steps by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry(Vec<Arc<dyn AnyStep>>);

impl Registry {
    /// No steps yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step.
    pub fn with(mut self, step: impl Step) -> Self {
        self.0.push(erase(step));
        self
    }

    /// Its steps, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn AnyStep>> {
        self.0.iter()
    }

    /// The step of that name or alias.
    ///
    /// # Errors
    /// [`crate::FaultKind::NotFound`], with the nearest name.
    pub fn find(&self, name: &str) -> Result<Arc<dyn AnyStep>, Fault> {
        if let Some(step) = self.0.iter().find(|step| step.description().answers_to(name)) {
            return Ok(step.clone());
        }
        let known: Vec<&str> = self.0.iter().map(|step| step.description().name.as_str()).collect();
        Err(Fault::not_found(format!("no step \"{name}\" here")).help(did_you_mean(name, known)))
    }

    /// Only these steps, each once.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub fn only(&self, names: &[String]) -> Result<Self, Fault> {
        let mut found: Vec<Arc<dyn AnyStep>> = Vec::new();
        for name in names {
            let step = self.find(name)?;
            if !found.iter().any(|other| Arc::ptr_eq(other, &step)) {
                found.push(step);
            }
        }
        Ok(Self(found))
    }

    /// Plans what a command asks for.
    ///
    /// # Errors
    /// As [`Registry::find`], the step's own, or for a reference to a secret in the place of its value; [`crate::FaultKind::BadData`] for a source that is not the one that
    /// the command expects.
    pub async fn plan(
        &self,
        command: &StepCommand,
        inputs: &InputSchemas,
        env: &StepEnv,
    ) -> Result<PlannedStep, Fault> {
        let step = self.find(&command.step)?;
        refuse_secrets(&command.params).map_err(|fault| fault.step(step.spec().name))?;
        let planned = step.plan(&command.params, inputs, env).await?;
        planned.outputs.iter().try_for_each(check_widths).map_err(|fault| fault.step(planned.spec.name))?;
        match &planned.source {
            Some(now) if !command.source.is_empty() && *now != command.source => Err(Fault::bad_data(format!(
                "the source changed since it was planned: it was {}, it is {now}",
                command.source
            ))
            .step(planned.spec.name)
            .help("run the pipeline again, when nobody writes to the source")),
            _ => Ok(planned),
        }
    }
}

/// Refuses binaries of no bytes: how many there are of them is not in their array, and Arrow (59.3) loses count when it takes
/// some of the rows.
fn check_widths(schema: &SchemaRef) -> Result<(), Fault> {
    match schema.fields().iter().find(|field| *field.data_type() == DataType::FixedSizeBinary(0)) {
        None => Ok(()),
        Some(field) => Err(Fault::bad_schema(format!("the column \"{}\" has binaries of 0 bytes", field.name()))
            .column(field.name())
            .help("delete the column, or make it of type binary")),
    }
}

/// A step behind the common face.
pub fn erase(step: impl Step) -> Arc<dyn AnyStep> {
    Arc::new(typed(step))
}

fn typed<S: Step>(step: S) -> Erased<S> {
    let description = StepDescription::new(&step.spec(), ParamsSchema::of::<S::Params>());
    Erased { step: Arc::new(step), description: Arc::new(description) }
}
