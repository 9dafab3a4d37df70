// @ts-check
/**
 * The elements: a checkbox as Dagster draws its own, lines below it, and a banner.
 *
 * @import {Look, Part} from './types.js'
 */

const UNAVAILABLE =
  'The choice "Isolate run environment" is not available: this version of Dagster\'s page is not ' +
  'built as we know it. Launching works. To ask for a run that is not isolated, add the tag ' +
  'dagster/isolation: disabled with "Edit tags".';

export class View {
  root = element('div', {class: 'run-isolation'});
  #input = element('input', {type: 'checkbox', id: 'run-isolation-toggle'});
  #label = element('label', {for: 'run-isolation-toggle'});
  #lines = element('div', {class: 'lines', id: 'run-isolation-lines', role: 'status'});
  #said = '';
  #runs;

  /**
   * @param {string} runs address of the page of runs
   * @param {(isolate: boolean) => void} onChoice
   */
  constructor(runs, onChoice) {
    this.#runs = runs;
    this.#input.setAttribute('aria-describedby', 'run-isolation-lines');
    this.#input.addEventListener('change', () => onChoice(this.#input.checked));
    this.#label.append(this.#input, box(), 'Isolate run environment');
    this.root.append(this.#lines, this.#label);
  }

  /** @param {Look} look */
  show({checked, disabled, lines}) {
    this.#input.checked = checked;
    this.#input.disabled = disabled;
    this.#label.className = disabled ? 'off' : '';
    const said = JSON.stringify(lines);
    if (said !== this.#said) {
      this.#said = said;
      this.#lines.replaceChildren(...lines.map((line) => this.#line(line)));
    }
  }

  /** Whether what it shows now asks for a run that is not isolated. */
  get asks() {
    return this.root.isConnected && !this.#input.disabled && !this.#input.checked;
  }

  /** @param {Part[]} parts */
  #line(parts) {
    const line = element('div', {});
    line.append(
      ...parts.map((part) =>
        typeof part === 'string'
          ? part
          : element(
              'a',
              {href: `${this.#runs}/${encodeURIComponent(part.run)}`, target: '_blank'},
              `run ${part.run.slice(0, 8)}`,
            ),
      ),
    );
    return line;
  }
}

/** Says, once, that there is no toggle. */
export function showBanner() {
  const banner = element('div', {class: 'run-isolation-banner', role: 'status'});
  const close = element('button', {type: 'button'}, 'Dismiss');
  close.addEventListener('click', () => banner.remove());
  banner.append(element('span', {}, UNAVAILABLE), close);
  document.body.prepend(banner);
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} attributes
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[T]}
 */
function element(tag, attributes, text = '') {
  const made = set(document.createElement(tag), attributes);
  made.append(text);
  return made;
}

function box() {
  const svg = draw('svg', {viewBox: '-3 -3 24 24', 'aria-hidden': 'true'});
  const whole = {width: '18', height: '18', rx: '2'};
  svg.append(
    draw('rect', {class: 'back', ...whole}),
    draw('rect', {class: 'border', x: '1', y: '1', width: '16', height: '16', rx: '1'}),
    draw('rect', {class: 'fill', ...whole}),
    draw('polyline', {class: 'check', points: '3.5 9 7 12.5 14.5 5'}),
  );
  return svg;
}

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 */
function draw(tag, attributes) {
  return set(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes);
}

/**
 * @template {Element} E
 * @param {E} made
 * @param {Record<string, string>} attributes
 */
function set(made, attributes) {
  Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
  return made;
}
